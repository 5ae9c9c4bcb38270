import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Env, optaPaths } from '../config/paths.ts';
import { OptaError } from '../protocol/errors.ts';

export interface Step {
  command: string;
  args: string[];
  /** Its failure changes nothing: what it takes away may not be there. */
  mayFail?: true;
}

/** What makes the system start the daemon at login: one file, and what its service manager has to be told. */
export interface Service {
  manager: 'systemd' | 'launchd' | 'task scheduler';
  name: string;
  file: string;
  text: string;
  encoding: 'utf8' | 'utf16le';
  /** Once the file is there. */
  register: Step[];
  /** When no daemon runs yet: the service starts one at once. */
  start: Step[];
  /** While the file is still there, and once it is gone. */
  unregister: Step[];
  forget: Step[];
}

/** What the daemon is to be started with, in place of the shell that is not there at login. Keys and tokens are not kept. */
const KEPT = ['PATH', 'OPTA_HOME', 'XDG_CONFIG_HOME', 'OPTA_LOOPBACK_ONLY', 'OPTA_HOST_NAME'];

/** `opta daemon run` of this very installation. */
const ownProgram = (): string[] => {
  const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
  const fromSource = import.meta.url.endsWith('.ts');
  const cli = fromSource ? ['--import', import.meta.resolve('tsx'), at('../cli/main.ts')] : [at('../../bin/opta.js')];
  return [process.execPath, ...cli, 'daemon', 'run'];
};

/** Pure. Throws `no-service-manager` for a system that has none that is known here. */
export const serviceOf = (
  env: Env,
  { platform = process.platform, program = ownProgram(), uid = process.getuid?.() ?? 0 } = {},
): Service => {
  const kept = KEPT.flatMap((name): [string, string][] => (env[name] ? [[name, env[name]]] : []));
  const wrong = [...program, ...kept.flat()].find((text) => /[\0\r\n]/.test(text));
  if (wrong !== undefined)
    throw new OptaError('invalid-request', `A service cannot hold a line break: ${JSON.stringify(wrong)}`);
  const home = env.HOME || homedir();
  if (platform === 'darwin') return launchd(home, program, kept, uid);
  if (platform === 'win32') return task(env, program, kept);
  if (platform === 'linux') return systemd(env.XDG_CONFIG_HOME || join(home, '.config'), program, kept);
  throw new OptaError('no-service-manager', `No service manager of ${platform} is known here. ${BY_HAND}`);
};

export const BY_HAND = 'Start the daemon yourself: opta daemon start';

// --- Linux -----------------------------------------------------------------------------------------------------------

const systemd = (configHome: string, program: string[], kept: [string, string][]): Service => {
  const name = 'opta-daemon';
  const ctl = (...args: string[]): Step => ({ command: 'systemctl', args: ['--user', ...args] });
  const quoted = (text: string): string => `"${text.replace(/["\\]/g, '\\$&').replaceAll('%', '%%')}"`;
  const text = `# Written by "opta daemon install"; "opta daemon uninstall" takes it away.
[Unit]
Description=Opta daemon
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
ExecStart=${program.map((word) => quoted(word.replaceAll('$', '$$$$'))).join(' ')}
${kept.map(([key, value]) => `Environment=${quoted(`${key}=${value}`)}\n`).join('')}# The command passes the signal on to the daemon, to which a second one means "at once".
KillMode=mixed
Restart=on-failure
RestartSec=5

[Install]
WantedBy=default.target
`;
  return {
    manager: 'systemd',
    name,
    file: join(configHome, 'systemd', 'user', `${name}.service`),
    text,
    encoding: 'utf8',
    register: [ctl('daemon-reload'), ctl('enable', name)],
    start: [ctl('start', name)],
    // Not waited for: it may be the daemon itself that is asked.
    unregister: [
      { ...ctl('disable', name), mayFail: true },
      { ...ctl('stop', '--no-block', name), mayFail: true },
    ],
    forget: [{ ...ctl('daemon-reload'), mayFail: true }],
  };
};

// --- macOS -----------------------------------------------------------------------------------------------------------

const xml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const launchd = (home: string, program: string[], kept: [string, string][], uid: number): Service => {
  const name = 'com.opta.daemon';
  const file = join(home, 'Library', 'LaunchAgents', `${name}.plist`);
  const ctl = (...args: string[]): Step => ({ command: 'launchctl', args });
  const out: Step = { ...ctl('bootout', `gui/${uid}/${name}`), mayFail: true };
  const variables = kept.map(([key, value]) => `    <key>${key}</key><string>${xml(value)}</string>\n`).join('');
  const text = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key><string>${name}</string>
  <key>ProgramArguments</key>
  <array>
${program.map((word) => `    <string>${xml(word)}</string>\n`).join('')}  </array>
  <key>EnvironmentVariables</key>
  <dict>
${variables}  </dict>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key>
  <dict><key>SuccessfulExit</key><false/></dict>
  <key>ThrottleInterval</key><integer>5</integer>
</dict>
</plist>
`;
  // It reads the folder at login by itself.
  return {
    manager: 'launchd',
    name,
    file,
    text,
    encoding: 'utf8',
    register: [],
    start: [out, ctl('bootstrap', `gui/${uid}`, file)],
    unregister: [out],
    forget: [],
  };
};

// --- Windows ---------------------------------------------------------------------------------------------------------

const task = (env: Env, program: string[], kept: [string, string][]): Service => {
  const name = 'Opta Daemon';
  const file = join(optaPaths(env).daemonDir, 'opta-daemon.xml');
  const ctl = (...args: string[]): Step => ({ command: 'schtasks', args });
  // A task has no variables of its own, and knows the user's PATH.
  const set = kept.filter(([key]) => key !== 'PATH').map(([key, value]) => `set "${key}=${value}"&& `);
  const line = `/d /s /c "${set.join('')}${program.map((word) => `"${word}"`).join(' ')}"`;
  const text = `\ufeff<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Description>Opta daemon</Description></RegistrationInfo>
  <Triggers><LogonTrigger><Enabled>true</Enabled></LogonTrigger></Triggers>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure><Interval>PT1M</Interval><Count>3</Count></RestartOnFailure>
  </Settings>
  <Actions><Exec><Command>cmd.exe</Command><Arguments>${xml(line)}</Arguments></Exec></Actions>
</Task>
`;
  return {
    manager: 'task scheduler',
    name,
    file,
    text,
    encoding: 'utf16le',
    register: [ctl('/Create', '/TN', name, '/XML', file, '/F')],
    start: [ctl('/Run', '/TN', name)],
    unregister: [{ ...ctl('/Delete', '/TN', name, '/F'), mayFail: true }],
    forget: [],
  };
};
