import { spawn } from 'node:child_process';
import type { Env } from '../../config/paths.ts';

/** What became of a text for the clipboard. */
export interface Copied {
  ok: boolean;
  message: string;
}

const COPY_MS = 3_000;

/** Programs that take the clipboard's text on stdin, as far as this session could have one. */
const toolsOf = (env: Env, platform: string): string[][] => {
  if (platform === 'darwin') return [['pbcopy']];
  if (platform === 'win32') return [['clip.exe']];
  return [
    ...(env.WAYLAND_DISPLAY ? [['wl-copy']] : []),
    ...(env.DISPLAY
      ? [
          ['xclip', '-selection', 'clipboard'],
          ['xsel', '--clipboard', '--input'],
        ]
      : []),
    ...(env.WSL_DISTRO_NAME ? [['clip.exe']] : []),
  ];
};

/** Gives the text to the first clipboard program that there is. The text is in no argument list. */
export const copyText = async (text: string, env: Env, platform: string = process.platform): Promise<Copied> => {
  const tools = toolsOf(env, platform);
  if (tools.length === 0) return { ok: false, message: 'There is no clipboard: no desktop session was found' };
  for (const [command = '', ...args] of tools) {
    const end = await feed(command, args, text, env);
    if (end === null) return { ok: true, message: `Copied with ${command}` };
    if (end !== 'absent') return { ok: false, message: `${command} ${end}` };
  }
  const names = tools.map(([name]) => name).join(', ');
  return { ok: false, message: `There is no clipboard program: looked for ${names}` };
};

/** Null when it took the text. Its end counts, not that of its pipes: some stay in the background to serve the clipboard. */
const feed = (command: string, args: string[], text: string, env: Env): Promise<string | 'absent' | null> =>
  new Promise((resolve) => {
    const child = spawn(command, args, { env: { ...env }, stdio: ['pipe', 'ignore', 'ignore'], windowsHide: true });
    const late = setTimeout(() => {
      child.kill('SIGKILL');
      resolve(`did not take the text within ${COPY_MS} ms`);
    }, COPY_MS);
    child.on('error', (cause: NodeJS.ErrnoException) => {
      clearTimeout(late);
      resolve(cause.code === 'ENOENT' ? 'absent' : `cannot be run (${cause.code})`);
    });
    child.on('exit', (code, signal) => {
      clearTimeout(late);
      resolve(code === 0 ? null : `failed (${signal ?? `exit code ${code}`})`);
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(text);
  });
