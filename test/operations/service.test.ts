import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { installService } from '../../src/operations/service.ts';
import { serviceOf } from '../../src/operations/service-files.ts';
import { cli, removeDir, tempDir } from '../support/cli.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';

const program = ['/opt/n ode/bin/node', '/opt/o"p\\ta%h$x/bin/opta.js', 'daemon', 'run'];
const env = {
  HOME: '/home/u',
  PATH: '/usr/bin:/bin',
  OPTA_HOME: '/home/u/a & "b" %h',
  OPTA_LOOPBACK_ONLY: '1',
  OPTA_API_KEY: 'not-for-a-file',
  OPTA_ADMIN_KEY: 'neither',
};
const on = (platform: NodeJS.Platform, more: object = {}) =>
  serviceOf({ ...env, ...more }, { platform, program, uid: 501 });
const words = ({ command, args }: { command: string; args: string[] }): string => [command, ...args].join(' ');

describe('the files of a service', () => {
  test('[OP7] systemd: a user unit that runs "opta daemon run", escaped, and passes on one signal only', () => {
    const { file, text, register, start, unregister, forget } = on('linux');
    expect(file).toBe('/home/u/.config/systemd/user/opta-daemon.service');
    expect(on('linux', { XDG_CONFIG_HOME: '/x' }).file).toBe('/x/systemd/user/opta-daemon.service');
    expect(text).toContain('ExecStart="/opt/n ode/bin/node" "/opt/o\\"p\\\\ta%%h$$x/bin/opta.js" "daemon" "run"\n');
    expect(text).toContain('\nEnvironment="OPTA_HOME=/home/u/a & \\"b\\" %%h"\nEnvironment="OPTA_LOOPBACK_ONLY=1"\n');
    for (const line of ['KillMode=mixed', 'Restart=on-failure', 'RestartSec=5', 'WantedBy=default.target'])
      expect(text).toContain(`\n${line}\n`);
    expect([...register, ...start].map(words)).toEqual([
      'systemctl --user daemon-reload',
      'systemctl --user enable opta-daemon',
      'systemctl --user start opta-daemon',
    ]);
    expect([...unregister, ...forget].map(words)).toEqual([
      'systemctl --user disable opta-daemon',
      'systemctl --user stop --no-block opta-daemon',
      'systemctl --user daemon-reload',
    ]);
  });

  test('[OP7] launchd: an agent of this user that is started again only after a failure', () => {
    const { file, text, name, start, unregister } = on('darwin');
    expect(file).toBe('/home/u/Library/LaunchAgents/com.opta.daemon.plist');
    expect(name).toBe('com.opta.daemon');
    expect(text).toContain('<string>/opt/o&quot;p\\ta%h$x/bin/opta.js</string>\n    <string>daemon</string>');
    expect(text).toContain('<key>OPTA_HOME</key><string>/home/u/a &amp; &quot;b&quot; %h</string>');
    expect(text).toContain('<key>KeepAlive</key>\n  <dict><key>SuccessfulExit</key><false/></dict>');
    expect([...start, ...unregister].map(words)).toEqual([
      'launchctl bootout gui/501/com.opta.daemon',
      `launchctl bootstrap gui/501 ${file}`,
      'launchctl bootout gui/501/com.opta.daemon',
    ]);
  });

  test('[OP7] Windows: a task at logon, in the encoding that it is declared in', () => {
    const { text, name, encoding, register, unregister, file } = on('win32');
    expect([name, encoding, text.charCodeAt(0)]).toEqual(['Opta Daemon', 'utf16le', 0xfeff]);
    expect(text).toContain('encoding="UTF-16"');
    expect(text).toContain('<LogonTrigger>');
    expect(text).toContain('set &quot;OPTA_LOOPBACK_ONLY=1&quot;&amp;&amp; &quot;/opt/n ode/bin/node&quot;');
    expect(register.map(words)).toEqual([`schtasks /Create /TN Opta Daemon /XML ${file} /F`]);
    expect(unregister.map(words)).toEqual(['schtasks /Delete /TN Opta Daemon /F']);
  });

  test('[OP7] no key stands in any of them; what a line cannot hold, and other systems, are refused', () => {
    for (const platform of ['linux', 'darwin', 'win32'] as const)
      expect(on(platform).text).not.toMatch(/not-for-a-file|neither/);
    expect(() => on('linux', { OPTA_HOME: '/a\nExecStart=/bin/x' })).toThrow(/line break/);
    expect(() => on('freebsd')).toThrow(expect.objectContaining({ code: 'no-service-manager' }));
  });

  const analyze = spawnSync('systemd-analyze', ['--version']).status === 0;
  test.skipIf(!analyze)(
    `[OP7] systemd itself takes the unit${analyze ? '' : ' (skipped: no systemd-analyze here)'}`,
    () => {
      const dir = tempDir();
      const file = join(dir, 'opta-daemon.service');
      writeFileSync(file, serviceOf({ ...env, HOME: dir }, { platform: 'linux' }).text);
      const { stderr, status } = spawnSync('systemd-analyze', ['--user', 'verify', file], {
        encoding: 'utf8',
        env: { ...process.env, XDG_RUNTIME_DIR: dir },
      });
      expect({ stderr: stderr.split('\n').filter((line) => line.includes('opta-daemon')), status }).toEqual({
        stderr: [],
        status: 0,
      });
      removeDir(dir);
    },
  );
});

const linux = process.platform === 'linux';
describe.skipIf(!linux)(
  `opta daemon install${linux ? '' : ' (skipped: it would reach the real service manager)'}`,
  { timeout: 120_000 },
  () => {
    let home: string;
    beforeEach(() => {
      home = tempDir();
    });
    afterEach(() => removeDir(home));

    /** A folder with a systemctl that notes what it is asked, as the whole PATH. */
    const systemctl = (script: string): string => {
      const bin = join(home, 'bin');
      mkdirSync(bin);
      writeFileSync(join(bin, 'systemctl'), `#!/bin/sh\necho "$@" >> '${join(home, 'asked')}'\n${script}\n`);
      chmodSync(join(bin, 'systemctl'), 0o755);
      return bin;
    };
    const asked = (): string[] => readFileSync(join(home, 'asked'), 'utf8').trim().split('\n');
    const run = (action: string, PATH: string, ...more: string[]) =>
      cli(home, ['daemon', action, ...more], { env: { HOME: home, XDG_CONFIG_HOME: '', PATH } });
    const unit = () => join(home, '.config', 'systemd', 'user', 'opta-daemon.service');

    test('[OP7] writes the unit and enables it; both ways may be repeated', async () => {
      const PATH = [systemctl('exit 0'), '/usr/bin', '/bin'].join(delimiter);
      const first = await run('install', PATH, '--json');
      expect(first).toMatchObject({ code: 0, stderr: '' });
      expect(JSON.parse(first.stdout)).toEqual({
        installed: true,
        changed: true,
        started: true,
        manager: 'systemd',
        name: 'opta-daemon',
        file: unit(),
      });
      const text = readFileSync(unit(), 'utf8');
      expect(text).toMatch(/ExecStart="[^"]+node[^"]*" .*"daemon" "run"/);
      expect(text).toContain(`OPTA_HOME=${home}`);
      const enabling = ['--user daemon-reload', '--user enable opta-daemon', '--user start opta-daemon'];
      expect(asked()).toEqual(enabling);
      expect(JSON.parse((await run('install', PATH, '--json')).stdout)).toMatchObject({
        installed: true,
        changed: false,
      });
      expect(readFileSync(unit(), 'utf8')).toBe(text);

      const gone = await run('uninstall', PATH);
      expect(gone).toMatchObject({ code: 0, stdout: 'Uninstalled: opta-daemon (systemd)\n' });
      expect(existsSync(unit())).toBe(false);
      expect(asked().slice(6)).toEqual([
        '--user disable opta-daemon',
        '--user stop --no-block opta-daemon',
        '--user daemon-reload',
      ]);
      expect(await run('uninstall', PATH)).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing to do') });
      expect(asked()).toHaveLength(9);
    });

    test('[OP7] a daemon that runs is left alone: the service starts the next one', async () => {
      const PATH = [systemctl('exit 0'), '/usr/bin', '/bin'].join(delimiter);
      const daemon = await new FakeDaemon().start();
      daemon.writeState(home);
      const { code, stdout } = await run('install', PATH);
      expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('A daemon runs already') });
      expect(asked()).toEqual(['--user daemon-reload', '--user enable opta-daemon']);
      await daemon.stop();
    });

    test('[OP7] without a service manager one line says so and what to do, and no file is left', async () => {
      const none = await run('install', join(home, 'nothing'), '--json');
      expect(none).toMatchObject({ code: 1, stderr: '' });
      expect(JSON.parse(none.stdout)).toMatchObject({
        error:
          'systemd did not take the service: there is no systemctl here. Start the daemon yourself: opta daemon start',
        exit_code: 1,
        code: 'no-service-manager',
      });
      expect(existsSync(unit())).toBe(false);
      const PATH = systemctl('echo "Failed to connect to bus: No medium found" >&2; exit 1');
      const refused = await run('install', `${PATH}${delimiter}/usr/bin${delimiter}/bin`);
      expect(refused).toMatchObject({ code: 1, stdout: '' });
      expect(refused.stderr).toMatch(
        /^✗ systemd did not take the service: Failed to connect to bus.*opta daemon start\n$/,
      );
      expect(existsSync(unit())).toBe(false);
    });

    test('[OP7] a service manager that hangs is not waited for, and is told as that', async () => {
      const PATH = [systemctl('exec sleep 60'), '/usr/bin', '/bin'].join(delimiter);
      const service = serviceOf({ ...env, HOME: home, XDG_CONFIG_HOME: '' }, { platform: 'linux', program, uid: 501 });
      await expect(installService(service, { running: true, env: { PATH }, stepMs: 300 })).rejects.toThrow(
        'systemd did not take the service: systemctl did not answer within 0.3 s.',
      );
      expect(existsSync(unit())).toBe(false);
    });
  },
);
