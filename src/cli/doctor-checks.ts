import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { dirname } from 'node:path';
import type { HostPolicy } from '../config/host-policy.ts';
import { refuseModelFiles } from '../config/host-policy.ts';
import { KEYS } from '../config/keys.ts';
import type { Resolved } from '../config/load.ts';
import { ignoredLine } from '../config/project.ts';
import type { Config } from '../config/schema.ts';
import { OptaError } from '../protocol/errors.ts';
import type { Context } from './context.ts';
import { canAsk, wantsColour } from './output.ts';

/** One line of `doctor`: what was found, and in `detail` what to type next. */
export interface Check {
  name: string;
  status: 'pass' | 'warn' | 'fail';
  message: string;
  detail?: string;
}

export const machineChecks = (ctx: Context): Check[] => [
  { name: 'Operating System', status: 'pass', message: `${process.platform} ${release()}, ${process.arch}` },
  nodeCheck(process.versions.node),
  ...folderChecks(ctx),
  {
    name: 'Sandbox',
    status: 'pass',
    message: 'none is used: the tools are six file tools, held to the workspace of their session; no commands are run',
  },
  terminalCheck(ctx),
];

const NODE_MIN = [20, 19] as const;

export const nodeCheck = (version: string): Check => {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const ok = major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1]);
  const name = 'Node.js';
  if (ok) return { name, status: 'pass', message: version };
  return {
    name,
    status: 'fail',
    message: `${version} is too old`,
    detail: `install Node ${NODE_MIN.join('.')} or newer`,
  };
};

/** File systems of other machines, by the number that Linux gives them: locks and memory maps do not hold there. */
const NETWORK: { [type: number]: string } = {
  26985: 'NFS',
  20859: 'SMB',
  4283649346: 'CIFS',
  4266872130: 'SMB2',
  16914839: '9P',
};

const FREE_WARN_BYTES = 1 << 30;
const FREE_FAIL_BYTES = 64 << 20;

const folderChecks = ({ paths }: Context): Check[] => {
  const there = existing(paths.daemonDir);
  const { bavail, bsize, type } = statfsSync(there);
  const network = process.platform === 'linux' ? NETWORK[type >>> 0] : undefined;
  const free = bavail * bsize;
  const room = `${Math.floor(free / 2 ** 20)} MB free for ${paths.dataDir}`;
  return [
    dirCheck(paths.configDir, there),
    network === undefined
      ? { name: 'Storage', status: 'pass', message: paths.dataDir }
      : {
          name: 'Storage',
          status: 'warn',
          message: `${paths.dataDir} is on a network file system (${network}); sessions can be damaged there`,
          detail: 'set OPTA_HOME to a folder on a local disk',
        },
    free >= FREE_WARN_BYTES
      ? { name: 'Disk Headroom', status: 'pass', message: room }
      : {
          name: 'Disk Headroom',
          status: free < FREE_FAIL_BYTES ? 'fail' : 'warn',
          message: room,
          detail: 'free some space',
        },
  ];
};

const existing = (path: string): string => (existsSync(path) ? path : existing(dirname(path)));

const dirCheck = (dir: string, there: string): Check => {
  const name = 'Config Dirs';
  try {
    accessSync(there, constants.W_OK | constants.X_OK);
    if (!statSync(there).isDirectory()) throw new Error('it is no folder');
  } catch {
    return {
      name,
      status: 'fail',
      message: `${there} cannot be written`,
      detail: 'set OPTA_HOME to a folder of yours',
    };
  }
  if (!existsSync(dir)) return { name, status: 'pass', message: `${dir} will be made when it is needed` };
  const mode = statSync(dir).mode & 0o777;
  if ((mode & 0o077) === 0) return { name, status: 'pass', message: `${dir}, for its owner alone` };
  return {
    name,
    status: 'warn',
    message: `${dir} is open to others (mode ${mode.toString(8)})`,
    detail: `chmod 700 ${dir}`,
  };
};

const terminalCheck = (ctx: Context): Check => {
  const { isTTY = false, columns } = process.stdout;
  const size = isTTY ? `terminal, ${columns} columns` : 'no terminal';
  const colours = wantsColour(ctx.env, isTTY) ? 'colours' : 'no colours';
  const asks = canAsk(ctx.env) ? 'questions are asked here' : 'what would be asked is denied';
  return { name: 'Terminal', status: 'pass', message: `${size}, ${colours}, ${asks}` };
};

export const configChecks = (ctx: Context, { project, sourceOf }: Resolved): Check[] => {
  const user = existsSync(ctx.paths.configFile) ? ctx.paths.configFile : `no file at ${ctx.paths.configFile}`;
  const variables = KEYS.flatMap(({ key, env }) => (env && sourceOf(key).kind === 'env' ? [env] : []));
  const parts = [user, ...(project ? [project.file] : []), ...(variables.length > 0 ? [variables.join(', ')] : [])];
  const config: Check = { name: 'Config', status: 'pass', message: parts.join('; ') };
  if (project === null) return [config, { name: 'Trust', status: 'pass', message: 'no project file here' }];
  const line = ignoredLine(project);
  if (line === null)
    return [config, { name: 'Trust', status: 'pass', message: `${project.file}: all that it says counts` }];
  return [config, { name: 'Trust', status: 'warn', message: line, detail: `read it, then: opta config trust` }];
};

export const policyCheck = (policy: HostPolicy, config: Config): Check => {
  const name = 'Host Policy';
  try {
    refuseModelFiles(policy, config);
  } catch (cause) {
    if (cause instanceof OptaError) return { name, status: 'fail', message: cause.message, detail: 'remove the key' };
    throw cause;
  }
  const admin = policy.remoteAdmin ? '' : '; models of other hosts are not changed from here';
  return { name, status: 'pass', message: `${policy.host} is ${policy.role} (${policy.why})${admin}` };
};
