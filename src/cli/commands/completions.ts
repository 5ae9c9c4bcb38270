import { mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { discover } from '../../client/discover.ts';
import { daemonHttp } from '../../client/http.ts';
import { SHELLS, type Shell } from '../../operations/operation.ts';
import { completionScript } from '../completions/script.ts';
import type { Context } from '../context.ts';
import { EXIT, UsageError } from '../exit.ts';

/** Where shells, or the lines that people put into their start files, look for completions. */
const TARGETS: { [shell in Shell]: { file: string; enable: string } } = {
  bash: {
    file: '.bash_completion.d/opta',
    enable: 'If new shells do not know it, add to ~/.bashrc: source ~/.bash_completion.d/opta',
  },
  zsh: {
    file: '.zsh/completions/_opta',
    enable:
      'If new shells do not know it, add to ~/.zshrc: fpath=(~/.zsh/completions $fpath); autoload -Uz compinit; compinit',
  },
  fish: { file: '.config/fish/completions/opta.fish', enable: 'New shells know it' },
};

export const completionsCommand = (ctx: Context, named: string | undefined, options: { install?: boolean }): number => {
  const shell = shellOf(ctx, named);
  const script = completionScript(shell);
  if (!options.install) {
    ctx.output.out(script);
    return EXIT.ok;
  }
  const { file, enable } = TARGETS[shell];
  const path = join(ctx.env.HOME || homedir(), file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, script);
  ctx.output.out(`Installed ${path}\n`);
  ctx.output.err(`${enable}\n`);
  return EXIT.ok;
};

const shellOf = (ctx: Context, named: string | undefined): Shell => {
  const name = (named ?? basename(ctx.env.SHELL ?? '')).toLowerCase();
  const shell = SHELLS.find((one) => one === name);
  if (shell !== undefined) return shell;
  const which = name === '' ? 'SHELL is not set: name a shell' : `No completions for "${name}"`;
  throw new UsageError(`${which}: ${SHELLS.join(', ')}`);
};

const OFFERED_MAX = 100;
const LOOK_MS = 800;

/**
 * What completion scripts ask for when a key is pressed. Nothing is started for it and no failure is told: a shell that waits for
 * a word is no place for either.
 */
export const completeWordsCommand = async (ctx: Context, kind: string): Promise<number> => {
  const found = kind === 'sessions' ? await discover(ctx.paths.stateFile, LOOK_MS) : null;
  if (found?.kind !== 'running') return EXIT.ok;
  const http = daemonHttp(found.state);
  try {
    const { sessions } = await http.listSessions({ limit: OFFERED_MAX });
    for (const { sessionId } of sessions) ctx.output.out(`${sessionId}\n`);
  } catch (cause) {
    ctx.trace(`no words: ${String(cause)}`);
  } finally {
    http.close();
  }
  return EXIT.ok;
};
