import type { DecideOptions } from '../../client/session-link.ts';
import { openRequests } from '../../protocol/session-state.ts';
import type { Mode } from '../../protocol/turn.ts';
import { answerFrom } from '../ask.ts';
import { sessionsCommand } from '../commands/sessions.ts';
import { undoText } from '../commands/undo.ts';
import { UsageError } from '../exit.ts';
import { oneLine } from '../output.ts';
import type { Room, SlashCommand } from './slash.ts';

const mode = (name: Mode, aliases: readonly string[], text: string): SlashCommand => ({
  name,
  aliases,
  usage: '[off]',
  text,
  run: ({ ctx, talk }, { args }) => {
    const off = args[0] === 'off' || args[0] === '--skip';
    if (args.length > 1 || (args.length === 1 && !off)) throw new UsageError(`/${name} takes nothing but off`);
    talk.settings.mode = off ? 'chat' : name;
    ctx.output.out(
      off ? 'Tools may change things again, and ask first.\n' : `From now on: ${name}. /${name} off ends it.\n`,
    );
  },
});

const auto = ({ ctx, talk }: Room, asked: string): void => {
  const { auto: _a, dangerous: _d, ...kept } = talk.settings.overrides;
  const { mode: now } = talk.settings;
  const readOnly = now === 'chat' || now === 'do' ? '' : ` The mode ${now} still refuses them.`;
  switch (asked) {
    case 'off':
      talk.settings.overrides = kept;
      ctx.output.out('Whatever changes something asks first.\n');
      return;
    case 'dangerous':
      talk.settings.overrides = { ...kept, dangerous: true };
      ctx.output.out(`Nothing asks any more, but for your own rules.${readOnly}\n`);
      return;
    case '':
      talk.settings.overrides = { ...kept, auto: true };
      ctx.output.out(`Edits no longer ask; commands still do.${readOnly}\n`);
      return;
    default:
      throw new UsageError('/auto takes off, dangerous or nothing');
  }
};

/** Decides the request that waits longest. */
const decide = async ({ ctx, talk }: Room, decision: 'allow' | 'deny', how: DecideOptions = {}): Promise<void> => {
  const [open] = openRequests(talk.link.view.state);
  if (open === undefined) {
    ctx.output.out('Nothing waits for a decision.\n');
    return;
  }
  await talk.link.decide(open.asked.requestId, decision, how);
};

const answer = async (ctx: Room['ctx'], talk: Room['talk'], line: string): Promise<void> => {
  const open = openRequests(talk.link.view.state).find(({ asked }) => asked.question !== undefined);
  if (open?.asked.question === undefined) {
    ctx.output.out('No question waits for an answer.\n');
    return;
  }
  const text = answerFrom(open.asked.question, line);
  if (text === null) throw new UsageError('/answer takes a text, or the number of an option');
  await talk.link.decide(open.asked.requestId, 'allow', { answer: text });
};

/** The turn goes on without it. */
const cancelCall = async ({ ctx, talk }: Room): Promise<void> => {
  const { active } = talk.link.view.state;
  const call = active?.calls.find(({ progress }) => progress.state === 'started' || progress.state === 'asked');
  const target = active && call ? { turnId: active.turnId, callId: call.id } : null;
  const hit = target !== null && (await talk.link.cancel(target)).cancelled > 0;
  ctx.output.out(hit ? `Cancelled ${oneLine(call?.name ?? '')}.\n` : 'No call runs or asks now.\n');
};

const cancel = async ({ ctx, talk }: Room, turnId: string | undefined): Promise<void> => {
  const target = turnId === undefined ? { writerId: talk.writerId } : { turnId };
  const { cancelled } = await talk.link.cancel(target);
  const none = turnId === undefined ? 'You have no turn here that runs or waits.' : 'No such turn runs or waits.';
  ctx.output.out(cancelled === 0 ? `${none}\n` : `Cancelled ${cancelled}.\n`);
};

/** How turns are asked for, and what becomes of those that run or wait. */
export const TURNS: readonly SlashCommand[] = [
  {
    name: 'model',
    aliases: [],
    usage: '[name]',
    text: 'the model of this session, or another one from now on',
    run: async ({ ctx, talk }, { rest }) => {
      if (rest === '') {
        const { model } = talk.settings.overrides;
        ctx.output.out(`${oneLine(model ?? talk.link.view.state.model) || "the daemon's default"}\n`);
        return;
      }
      await talk.client.call('sessions.patch', { params: { id: talk.sessionId }, body: { model: rest } });
      const { model: _, ...overrides } = talk.settings.overrides;
      talk.settings.overrides = overrides;
    },
  },
  {
    name: 'models',
    aliases: [],
    usage: '',
    text: 'the models that are loaded on the inference host',
    run: async ({ ctx, talk, signal }) => {
      const { models } = await talk.client.call('lmx.models', { signal });
      if (models.length === 0) ctx.output.out('No model is loaded.\n');
      for (const { model_id, status } of models) ctx.output.out(`${oneLine(model_id)}  ${oneLine(status, 40)}\n`);
    },
  },
  {
    name: 'undo',
    aliases: [],
    usage: '[turn] [--dry-run]',
    text: 'take back what a turn did to files; the newest that did anything',
    run: async ({ ctx, talk }, { args }) => {
      const [turnId, ...more] = args.filter((word) => word !== '--dry-run');
      if (more.length > 0) throw new UsageError('/undo takes one turn');
      const body = {
        writerId: talk.writerId,
        ...(turnId === undefined ? {} : { turnId }),
        ...(args.includes('--dry-run') ? { dryRun: true } : {}),
      };
      ctx.output.out(
        undoText(await talk.client.call('turns.undo', { params: { id: talk.sessionId }, body: body as never })),
      );
    },
  },
  mode('plan', [], 'read only: the model reads and plans'),
  mode('review', [], 'read only: the model reviews'),
  mode('research', ['explore'], 'read only: the model looks around'),
  {
    name: 'auto',
    aliases: ['autoaccept', 'dangerous'],
    usage: '[off | dangerous]',
    text: 'let edits, or everything, through without asking',
    run: (room, { args, as }) => auto(room, as === 'dangerous' && args.length === 0 ? 'dangerous' : args.join(' ')),
  },
  {
    name: 'allow',
    aliases: [],
    usage: '[always | here]',
    text: 'allow the call that waits for a decision, or its tool for this session, or for this folder',
    run: (room, { rest }) => {
      if (!['', 'always', 'here'].includes(rest)) throw new UsageError('/allow takes always, here or nothing');
      const remember = rest === 'here' ? 'workspace' : 'session';
      return decide(room, 'allow', rest === '' ? {} : { remember });
    },
  },
  {
    name: 'answer',
    aliases: [],
    usage: '<text or number>',
    text: 'answer the question that waits, with your words or one of its options',
    run: ({ ctx, talk }, { rest }) => answer(ctx, talk, rest),
  },
  {
    name: 'deny',
    aliases: [],
    usage: '',
    text: 'deny it, or decline to answer',
    run: (room) => decide(room, 'deny'),
  },
  {
    name: 'queue',
    aliases: [],
    usage: '',
    text: 'what waits in this session',
    run: async ({ ctx, talk }) => void (await sessionsCommand(ctx, 'queue', [talk.sessionId], {})),
  },
  {
    name: 'cancel',
    aliases: ['stop'],
    usage: '[turn | call]',
    text: 'cancel your own turns that run or wait, the turn with this id, or the call that runs or asks now',
    run: (room, { args }) => (args[0] === 'call' ? cancelCall(room) : cancel(room, args[0])),
  },
  {
    name: 'editor',
    aliases: ['e'],
    usage: '[text]',
    text: 'write a message in your editor',
    run: async (room, { rest }) => {
      if (!room.edit) throw new UsageError('there is no terminal for an editor here');
      const text = await room.edit(rest);
      if (text === null) room.ctx.output.out('Nothing was written.\n');
      else await room.send(text);
    },
  },
  {
    name: 'format',
    aliases: [],
    usage: '[text | json]',
    text: 'how answers are printed',
    run: (room, { args }) => {
      const [to] = args;
      if (to !== undefined && to !== 'text' && to !== 'json') throw new UsageError('/format takes text or json');
      if (!room.format) throw new UsageError('the screen shows answers as they are; the line mode has formats');
      room.ctx.output.out(`${room.format(to)}\n`);
    },
  },
];
