import { createContext } from './context.ts';
import { EXIT, reportFailure } from './exit.ts';
import { asksForJson } from './options.ts';
import { buildProgram, CommanderError } from './program.ts';

/** Runs one command line. Whatever happens, everything said is written before the process ends, with one exit code. */
const main = async (argv: readonly string[]): Promise<number> => {
  const ctx = createContext();
  let exitCode: number = EXIT.ok;
  // What nobody caught is told like any other failure: under json, stdout stays JSON ([AU1]).
  process.on('uncaughtException', (cause) => {
    const code = report(ctx, cause, argv);
    void ctx.output.flush().then(() => process.exit(code));
  });
  try {
    const program = buildProgram(ctx, (code) => {
      exitCode = code;
    });
    await program.parseAsync([...argv], { from: 'user' });
  } catch (cause) {
    exitCode = report(ctx, cause, argv);
  }
  await ctx.output.flush();
  // [AU6] A script that keeps the output in a file must not take what is left of it for the whole.
  if (ctx.output.lost !== null && exitCode === EXIT.ok) {
    ctx.output.err(`opta: the output could not be written: ${ctx.output.lost.message}\n`);
    await ctx.output.flush();
    return EXIT.error;
  }
  return exitCode;
};

const report = (ctx: ReturnType<typeof createContext>, cause: unknown, argv: readonly string[]): number => {
  const json = asksForJson(argv);
  if (!(cause instanceof CommanderError)) return reportFailure(ctx.output, cause, json);
  // Help and version come this way too, with exit code 0. Usage errors have been said on stderr already.
  if (cause.exitCode !== 0 && json) {
    ctx.output.json({ error: cause.message.replace(/^error: /, ''), exit_code: EXIT.error });
  }
  return cause.exitCode === 0 ? EXIT.ok : EXIT.error;
};

process.exit(await main(process.argv.slice(2)));
