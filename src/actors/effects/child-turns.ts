import { decodeEnvelope } from '../../protocol/envelope.ts';
import { OptaError } from '../../protocol/errors.ts';
import type { EventPayload } from '../../protocol/events.ts';
import { ClientIdSchema, SessionIdSchema, TurnIdSchema, WriterIdSchema } from '../../protocol/ids.ts';
import type { SessionState } from '../../protocol/session-state.ts';
import { type Mode, ModeSchema } from '../../protocol/turn.ts';
import type { Clock, ToolResult, ToolRun, Tools } from '../ports.ts';
import type { Runtime } from '../runtime.ts';

/**
 * A task that a model hands on is a turn of a session of its own: with its own conversation, log, budgets and end, under the policy of
 * the turn that asked for it, in the same workspace ([SA1]). The call waits for it; a cancel of the call cancels it and waits.
 */
export interface ChildTurnWorld {
  clock: Clock;
  runtime: () => Pick<Runtime, 'create' | 'submit' | 'cancel' | 'attach' | 'get'>;
  stateOf(sessionId: string): SessionState | null;
}

/** A child may hand on a part of its task, and that one no further. */
const DEPTH_MAX = 2;

const READ_ONLY: ReadonlySet<Mode> = new Set(['plan', 'review', 'research']);

const ok = (result: string, isError = false): ToolResult => ({ result, isError });
const failed = ({ code, message }: OptaError): ToolResult => ok(`Error (${code}): ${message}`, true);

export const childTurns = (world: ChildTurnWorld): Tools['start'] => {
  const start = (run: ToolRun, done: (result: ToolResult) => void): ReturnType<Tools['start']> => {
    const { task, mode } = run.args as { task: string; mode?: string };
    const parent = world.stateOf(run.sessionId);
    const turn = parent?.active;
    const depth = depthOf(parent) + 1;
    let over = false;
    let child: { sessionId: string; turnId: string } | null = null;
    let dead: (() => void) | null = null;
    let unasked = 0;

    const finish = (result: ToolResult): void => {
      if (over) return;
      over = true;
      if (dead) dead();
      else done(result);
    };
    const fail = (error: OptaError): void => finish(failed(error));
    const cancel = (): void => {
      if (child === null) return;
      const { sessionId, turnId } = child;
      world
        .runtime()
        .cancel(sessionId, { turnId: TurnIdSchema.parse(turnId) }, (error) => (error ? fail(error) : undefined));
    };

    const watch = (sessionId: string, turnId: string): void => {
      const attachment = world.runtime().attach(
        sessionId,
        0,
        {
          send(frame) {
            const { record } = decodeEnvelope(frame);
            if (record.event === 'permission.resolved' && record.payload.reason === 'unattended') unasked++;
            if (record.event !== 'turn.done' && record.event !== 'turn.error') return;
            if (record.payload.turnId !== turnId || over) return;
            const end = record.payload;
            world.clock.soon(() => attachment.detach());
            world
              .runtime()
              .get(sessionId, (error, state) =>
                error ? fail(error) : finish(answerOf(sessionId, end, state, unasked)),
              );
          },
          bufferedBytes: () => 0,
          warn: () => undefined,
          close: (code, message) => fail(new OptaError(code, message)),
        },
        // It only looks: whoever may answer a request is attached by themselves.
        { role: 'observer', via: 'http' },
      );
    };

    const begin = (): void => {
      if (!turn) return fail(new OptaError('internal', 'the turn is over'));
      if (depth > DEPTH_MAX) return fail(new OptaError('tool-failed', 'a task cannot be handed on any further'));
      const asked = ModeSchema.safeParse(mode);
      // The child may do less than the turn that asked, never more ([PM4]).
      const childMode = READ_ONLY.has(turn.mode) || !asked.success ? turn.mode : asked.data;
      const metadata = { workspace: run.workspace, parent: { sessionId: run.sessionId, turnId: run.turnId, depth } };
      const model = turn.overrides?.model ?? parent?.model;
      world.runtime().create({ metadata, ...(model ? { model } : {}) }, (error, made) => {
        if (error) return fail(error);
        const sessionId = made.sessionId;
        const input = {
          clientId: ClientIdSchema.parse('agent'),
          writerId: WriterIdSchema.parse('agent'),
          content: task,
          mode: childMode,
          ...(turn.overrides === undefined ? {} : { overrides: turn.overrides }),
        };
        world.runtime().submit(SessionIdSchema.parse(sessionId), input, (refused, submitted) => {
          if (refused) return fail(refused);
          child = { sessionId, turnId: submitted.turnId };
          watch(sessionId, submitted.turnId);
          if (dead) cancel();
        });
      });
    };
    world.clock.soon(begin);
    return {
      kill(ended) {
        if (over) return world.clock.soon(ended);
        dead = ended;
        cancel();
      },
    };
  };
  return start;
};

const depthOf = (s: SessionState | null): number => {
  const { parent } = (s?.metadata ?? {}) as { parent?: { depth?: unknown } };
  return typeof parent?.depth === 'number' ? parent.depth : 0;
};

const answerOf = (
  sessionId: string,
  end: EventPayload<'turn.done'> | EventPayload<'turn.error'>,
  { messages }: SessionState,
  unasked: number,
): ToolResult => {
  const text = messages.findLast((m) => m.role === 'assistant')?.content ?? '';
  const calls = end.stats === undefined ? '' : `, ${end.stats.toolCalls} tool calls`;
  const how = end.outcome === 'done' ? 'done' : `${end.outcome}: ${'message' in end ? end.message : ''}`;
  // The parent knows then why something was not done, and whoever reads along where they could have answered.
  const refused = unasked === 0 ? '' : `; refused, since nobody was attached to it who could allow them: ${unasked}`;
  return ok(`${text}\n[agent ${sessionId}: ${how}${calls}${refused}]`, end.outcome !== 'done');
};
