import { sessionIdOf } from '../../operations/session-records.ts';
import type { Call, OperationOutput } from '../../protocol/operations.ts';
import { callOf } from '../call.ts';
import { type Context, withDaemon } from '../context.ts';
import { EXIT, UsageError } from '../exit.ts';
import { printable } from '../output.ts';

export interface UndoOptions {
  session?: string;
  dryRun?: boolean;
  json?: boolean;
}

/** Takes back what a turn did to files: in the named session, else in the newest of this folder. */
export const undoCommand = (ctx: Context, turnId: string | undefined, options: UndoOptions): Promise<number> =>
  withDaemon(ctx, async (http) => {
    const call = callOf(http);
    const id =
      options.session === undefined ? await newestHere(call, ctx.cwd) : await sessionIdOf(call, options.session);
    const body = {
      writerId: 'cli',
      ...(turnId === undefined ? {} : { turnId }),
      ...(options.dryRun ? { dryRun: true } : {}),
    };
    const result = await call('turns.undo', { params: { id }, body: body as never });
    if (options.json) ctx.output.pretty({ sessionId: id, ...result });
    else ctx.output.out(undoText(result));
    return EXIT.ok;
  });

export const undoText = ({ turnId, undone, restored, kept }: OperationOutput<'turns.undo'>): string => {
  const head = undone ? `Taken back what turn ${turnId} did:` : `Would take back what turn ${turnId} did:`;
  const files = restored.map((path) => `  ${printable(path)}\n`).join('');
  const left = kept.map(({ path, why }) => `  not: ${printable(path)}, ${printable(why)}\n`).join('');
  return `${head}\n${files}${left}`;
};

const newestHere = async (call: Call, cwd: string): Promise<string> => {
  const { sessions } = await call('sessions.list', { query: { limit: 100 } as never });
  const here = sessions.find((s) => s.workspace === cwd);
  if (!here) throw new UsageError('No session has this folder as its workspace: name one with --session');
  return here.sessionId;
};
