import { isatty } from 'node:tty';
import { requireDaemon } from '../../client/discover.ts';
import { connect } from '../../client/index.ts';
import { findSessions, type SessionRow } from '../../operations/session-records.ts';
import { OptaError } from '../../protocol/errors.ts';
import type { Call } from '../../protocol/operations.ts';
import { callOf } from '../call.ts';
import { pickSession } from '../chat/target.ts';
import { type Context, daemonOf } from '../context.ts';
import { EXIT } from '../exit.ts';

export interface AttachFlags {
  plain?: boolean;
  json?: boolean;
}

const LOOKED_THROUGH = 200;
const SEARCH_CHARS_MAX = 256;

/**
 * A place in a session that is there: the full screen at a terminal, lines elsewhere or with `--plain`. Without words it is the
 * session of this folder that runs, else the one that changed last. `--json` says which one it would be, and attaches to none.
 */
export const attachCommand = async (
  ctx: Context,
  words: string | undefined,
  flags: AttachFlags,
): Promise<number | { chat: string[] }> => {
  const screen = !flags.plain && !flags.json && isatty(0) && isatty(1);
  // There a person chooses from what the words fit; elsewhere several are misuse, with the list.
  if (screen && words !== undefined) return { chat: [`--resume=${words}`, '--tui'] };
  await daemonOf(ctx, {}, ctx.env, flags.json === true);
  const client = connect({ address: () => requireDaemon(ctx.paths.stateFile) });
  let sessionId: string;
  try {
    const call = callOf(client);
    sessionId = words === undefined ? (await ofFolder(call, ctx.cwd)).sessionId : await pickSession(call, words, null);
    if (flags.json) {
      const { title, model, workspace, activeTurnId, updatedAt } = await client.getSession(sessionId);
      ctx.output.pretty({ sessionId, title, model, workspace, activeTurnId, updatedAt });
      return EXIT.ok;
    }
  } finally {
    client.close();
  }
  return { chat: ['--session', sessionId, screen ? '--tui' : '--plain'] };
};

const ofFolder = async (call: Call, folder: string): Promise<SessionRow> => {
  // The daemon looks for the words of it, so that newer sessions of other folders do not stand in the way.
  const near = await findSessions(call, { q: folder.slice(0, SEARCH_CHARS_MAX), limit: LOOKED_THROUGH });
  const rows = near.filter(({ workspace }) => workspace === folder);
  const row = rows.find(({ activeTurnId }) => activeTurnId !== undefined) ?? rows[0];
  if (row) return row;
  throw new OptaError(
    'session-not-found',
    'No session of this folder. opta tui begins one; opta attach ID takes any other',
  );
};
