import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { dirname } from 'node:path';
import { type HostPolicy, refuseModelFiles } from '../config/host-policy.ts';
import { KEYS } from '../config/keys.ts';
import type { Resolved } from '../config/load.ts';
import type { OptaPaths } from '../config/paths.ts';
import { ignoredLine } from '../config/project.ts';
import type { Config } from '../config/schema.ts';

/** One line of `doctor`: what was found, and in `detail` what to type next. */
export interface Check {
  name: string;
  status: 'pass' | 'warn' | 'fail';
  message: string;
  detail?: string;
}

export const pass = (name: string, message: string): Check => ({ name, status: 'pass', message });
export const warn = (name: string, message: string, detail: string): Check => ({
  name,
  status: 'warn',
  message,
  detail,
});
export const fail = (name: string, message: string, detail: string): Check => ({
  name,
  status: 'fail',
  message,
  detail,
});

export const machineChecks = (paths: OptaPaths): Check[] => [
  pass('Operating System', `${process.platform} ${release()}, ${process.arch}`),
  nodeCheck(process.versions.node),
  ...folderChecks(paths),
];

const NODE_MIN = [20, 19] as const;

export const nodeCheck = (version: string): Check => {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const ok = major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1]);
  if (ok) return pass('Node.js', version);
  return fail('Node.js', `${version} is too old`, `install Node ${NODE_MIN.join('.')} or newer`);
};

/** File systems of other machines, by the number that Linux gives them: locks and memory maps do not hold there. */
const NETWORK = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x01021997, '9P'],
]);

const FREE_WARN_BYTES = 1 << 30;
const FREE_FAIL_BYTES = 64 << 20;

const folderChecks = (paths: OptaPaths): Check[] => {
  const there = existing(paths.daemonDir);
  const { bavail, bsize, type } = statfsSync(there);
  const network = process.platform === 'linux' ? NETWORK.get(type >>> 0) : undefined;
  const storage =
    network === undefined
      ? pass('Storage', paths.dataDir)
      : warn(
          'Storage',
          `${paths.dataDir} is on a network file system (${network}); sessions can be damaged there`,
          'set OPTA_HOME to a folder on a local disk',
        );
  const free = bavail * bsize;
  const room = `${Math.floor(free / 2 ** 20)} MB free for ${paths.dataDir}`;
  const short = free < FREE_FAIL_BYTES ? fail : warn;
  const headroom =
    free < FREE_WARN_BYTES ? short('Disk Headroom', room, 'free some space') : pass('Disk Headroom', room);
  return [dirCheck(paths.configDir, there), storage, headroom];
};

const existing = (path: string): string => (existsSync(path) ? path : existing(dirname(path)));

const dirCheck = (dir: string, there: string): Check => {
  const name = 'Config Dirs';
  if (!isUsable(there)) return fail(name, `${there} cannot be written`, 'set OPTA_HOME to a folder of yours');
  if (!existsSync(dir)) return pass(name, `${dir} will be made when it is needed`);
  const mode = statSync(dir).mode & 0o777;
  if ((mode & 0o077) === 0) return pass(name, `${dir}, for its owner alone`);
  return warn(name, `${dir} is open to others (mode ${mode.toString(8)})`, `chmod 700 ${dir}`);
};

const isUsable = (dir: string): boolean => {
  try {
    accessSync(dir, constants.W_OK | constants.X_OK);
    return statSync(dir).isDirectory();
  } catch {
    // Not ours to write.
    return false;
  }
};

export const configChecks = ({ configFile }: OptaPaths, { project, sourceOf }: Resolved): Check[] => {
  const user = existsSync(configFile) ? configFile : `no file at ${configFile}`;
  const variables = KEYS.flatMap(({ key, env }) => (env && sourceOf(key).kind === 'env' ? [env] : []));
  const parts = [user, ...(project ? [project.file] : []), ...(variables.length > 0 ? [variables.join(', ')] : [])];
  const line = project && ignoredLine(project);
  const all = project === null ? 'no project file here' : `${project.file}: all that it says counts`;
  return [
    pass('Config', parts.join('; ')),
    line === null ? pass('Trust', all) : warn('Trust', line, 'read it, then: opta config trust'),
  ];
};

export const policyCheck = (policy: HostPolicy, config: Config): Check => {
  try {
    refuseModelFiles(policy, config);
  } catch (cause) {
    return fail('Host Policy', (cause as Error).message, 'remove the key');
  }
  const admin = policy.remoteAdmin ? '' : '; models of other hosts are not changed from here';
  return pass('Host Policy', `${policy.host} is ${policy.role} (${policy.why})${admin}`);
};
