import { type Context, createContext } from '../../src/cli/context.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { optaPaths } from '../../src/config/paths.ts';
import type { CliResult } from './cli.ts';

/** One for all: each listens to the streams of the process. */
const base = createContext();

/** A command line in this process, where what counts is what it says and not how it ends; `cli` is a process of its own. */
export const here = async (
  home: string,
  args: readonly string[],
  env: { [name: string]: string | undefined } = {},
  more: Partial<Context> = {},
): Promise<CliResult> => {
  const said = { stdout: '', stderr: '' };
  const all = { OPTA_HOME: home, OPTA_LOOPBACK_ONLY: '1', OPTA_HOST: '127.0.0.1', CI: '1', ...env };
  const out = (text: string): void => {
    said.stdout += text;
  };
  const output = {
    ...base.output,
    out,
    err: (text: string): void => {
      said.stderr += text;
    },
    json: (value: unknown) => out(`${JSON.stringify(value)}\n`),
    pretty: (value: unknown) => out(`${JSON.stringify(value, null, 2)}\n`),
  };
  let code: number | null = null;
  const ctx: Context = { ...base, output, env: all, paths: optaPaths(all), cwd: home, ...more };
  await buildProgram(ctx, (exitCode) => {
    code = exitCode;
  }).parseAsync([...args], { from: 'user' });
  return { code, ...said };
};
