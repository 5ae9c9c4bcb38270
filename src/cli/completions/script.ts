import type { Shell } from '../../operations/operation.ts';
import { createContext, packageVersion } from '../context.ts';
import { buildProgram } from '../program.ts';
import { bashScript } from './bash.ts';
import { fishScript } from './fish.ts';
import { type CompletedCommand, completedCommands } from './tree.ts';
import { zshScript } from './zsh.ts';

const SCRIPTS: { [shell in Shell]: (commands: readonly CompletedCommand[]) => string } = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

/** Made from the command tree itself, so it knows what this version knows, and nothing else. */
export const completionScript = (shell: Shell): string => {
  const commands = completedCommands(buildProgram(createContext(), () => undefined));
  const script = SCRIPTS[shell](commands);
  const note = `# Completions of opta ${packageVersion()}. After an upgrade, again: opta completions ${shell} --install\n`;
  // zsh wants its own line first.
  return script.startsWith('#compdef') ? script.replace('\n', `\n${note}`) : note + script;
};
