import type { Family } from './family.ts';

/** `opta completions` and `opta version`. */
export const addShell: Family = (program, ctx, done) => {
  program
    .command('completions')
    .description('print or install the completions of a shell')
    .argument('[shell]', 'bash, zsh or fish; that of $SHELL when none is named')
    .option('--install', 'write them to where the shell looks')
    .action(async (shell: string | undefined, options: { install?: boolean }) => {
      const { completionsCommand } = await import('../commands/completions.ts');
      done(completionsCommand(ctx, shell, options));
    });
  program
    .command('complete-words', { hidden: true })
    .description('what completion scripts ask for')
    .argument('<kind>', 'sessions')
    .action(async (kind: string) => {
      const { completeWordsCommand } = await import('../commands/completions.ts');
      done(await completeWordsCommand(ctx, kind));
    });
  program
    .command('version')
    .description('print the version')
    .option('--check', 'say whether there is a newer one')
    .option('--json', 'as JSON')
    .action(async (options: { check?: boolean; json?: boolean }) => {
      const { versionCommand } = await import('../commands/version.ts');
      done(versionCommand(ctx, options));
    });
};
