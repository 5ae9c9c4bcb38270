import { isatty } from 'node:tty';
import type { Command } from 'commander';
import { nearest } from '../chat/distance.ts';
import type { ChatOptions } from '../chat/options.ts';
import type { AttachFlags } from '../commands/attach.ts';
import type { Context } from '../context.ts';
import { type Done, repeat } from './family.ts';

/** `opta`, `opta chat` and `opta tui` have these in common. */
const withChatOptions = (command: Command): Command =>
  command
    .option('-r, --resume <id>', 'continue a session: its id, or words to find it by')
    .option('--plan', 'read only: plan')
    .option('--review', 'read only: review')
    .option('--research', 'read only: look around')
    .option('-m, --model <name>', 'model for this run')
    .option('--provider <name>', 'provider for this run')
    .option('--device <host[:port]>', 'inference host, when this command starts the daemon')
    .option('-f, --format <type>', 'text, or json: one line for each turn', 'text')
    .option('--no-commit', 'do not commit changes')
    .option('--no-checkpoints', 'do not keep checkpoints')
    .option('-a, --auto', 'allow edits without asking')
    .option('--dangerous', 'allow everything without asking')
    .option('--yolo', 'the same as --dangerous')
    .option('--add-dir <path>', 'a folder beside the workspace whose files may be named with @ (repeatable)', repeat);

/** The flags that mean a conversation even where there is no terminal. */
const CONVERSES = ['resume', 'plan', 'review', 'research'] as const;

/** `opta` alone: the full screen at a terminal; elsewhere help, or what the flags ask for. */
const addRoot = (program: Command, ctx: Context, run: (options: ChatOptions) => Promise<void>): void => {
  withChatOptions(program)
    .helpCommand(true)
    // Both are refused below, in commander's words: with an action of its own, the root would take any word for an argument.
    .allowExcessArguments()
    .allowUnknownOption()
    .hook('preAction', (root, command) => {
      if (command === root) return;
      const given = root.options.filter(
        (o) => !GENERAL.includes(o.attributeName()) && root.getOptionValueSource(o.attributeName()) === 'cli',
      );
      for (const { long } of given)
        ctx.output.err(`opta: ${long} before ${command.name()} has no effect on it; it belongs behind it\n`);
    })
    .action(async (options: ChatOptions, root: Command) => {
      const [word] = root.args;
      if (word !== undefined) refuse(root, word);
      const json = options.format === 'json';
      const terminal = isatty(0) && isatty(1);
      if (terminal || json || CONVERSES.some((name) => options[name] !== undefined))
        return run({ ...options, tui: !json });
      ctx.output.out(root.helpInformation());
    });
};

/** The root's own, which hold for every command. */
const GENERAL = ['verbose', 'debug', 'version'];

const refuse = (root: Command, word: string): never => {
  if (word.startsWith('-')) return root.error(`error: unknown option '${word}'`, { code: 'commander.unknownOption' });
  const names = root.commands.map((command) => command.name());
  const [near] = nearest(word, names, Math.min(2, Math.floor(word.length / 2)));
  const hint = near === undefined ? '' : `\n(Did you mean ${near}?)`;
  return root.error(`error: unknown command '${word}'${hint}`, { code: 'commander.unknownCommand' });
};

export const addChat = (program: Command, ctx: Context, done: Done): void => {
  const run = async (options: ChatOptions): Promise<void> => {
    const { runChat } = await import('../commands/chat.ts');
    done(await runChat(ctx, options));
  };
  addRoot(program, ctx, run);
  withChatOptions(program.command('chat').description('talk with the model, line by line'))
    .option('--session <id>', 'continue the session with exactly this id')
    .option('--tui', 'in the full screen')
    .option('--plain', 'by lines, whatever the configuration says')
    .action(run);
  withChatOptions(program.command('tui').description('talk with the model in the full screen'))
    .option('--session <id>', 'continue the session with exactly this id')
    .action((options: ChatOptions) => run({ ...options, tui: true }));
  program
    .command('attach')
    .description('take a place in a session that is there: the full screen, or lines without a terminal')
    .argument('[session]', 'its id, the beginning of it, or words to find it by; else the session of this folder')
    .option('--plain', 'by lines')
    .option('--json', 'which session it would be, as JSON; attaches to none')
    .action(async (session: string | undefined, options: AttachFlags) => {
      const { attachCommand } = await import('../commands/attach.ts');
      const ended = await attachCommand(ctx, session, options);
      if (typeof ended === 'number') done(ended);
      // The command line `opta chat --session ID`, with its own defaults and its own exit code.
      else await program.parseAsync(['chat', ...ended.chat], { from: 'user' });
    });
};
