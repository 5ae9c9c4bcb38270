import type { TurnView } from '../../client/turn-view.ts';
import { configCommand } from '../commands/config.ts';
import { daemonStatusCommand } from '../commands/daemon.ts';
import { doctorCommand } from '../commands/doctor.ts';
import { inspectCommand, whyCommand } from '../commands/inspect.ts';
import { logsCommand } from '../commands/logs.ts';
import { UsageError } from '../exit.ts';
import { colour, oneLine } from '../output.ts';
import { runShell } from './shell-line.ts';
import type { Room, SlashCommand } from './slash.ts';

const HISTORY_SHOWN = 20;

/** `name  value` lines. */
const table = ({ ctx }: Room, rows: readonly (readonly [name: string, value: string])[]): void => {
  for (const [name, value] of rows) ctx.output.out(`${colour.dim(name.padEnd(11))} ${value}\n`);
};

const viewOf = ({ talk }: Room) => talk.link.view.current;

const status = (room: Room): void => {
  const { state, connection, active } = viewOf(room);
  const { mode, overrides } = room.talk.settings;
  const asks = overrides.dangerous ? 'nothing asks' : overrides.auto ? 'edits do not ask' : 'changes ask';
  const runs = active === null ? 'none runs' : `${active.turnId} of ${oneLine(active.writerId, 40)}`;
  table(room, [
    ['session', `${state.sessionId}  ${oneLine(state.title ?? '(untitled)', 80)}`],
    ['model', oneLine(overrides.model ?? state.model) || "the daemon's default"],
    ['mode', `${mode}, ${asks}`],
    ['workspace', oneLine(state.workspace ?? '', 200)],
    ['turn', `${runs}, ${state.queue.length} waiting`],
    ['connection', connection],
    ['writer', oneLine(room.talk.writerId)],
  ]);
};

const ended = (turns: readonly TurnView[]) =>
  turns.flatMap(({ end }) => (end?.outcome === 'done' ? [end.stats] : end?.stats ? [end.stats] : []));

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

const cost = (room: Room): void => {
  const stats = ended(viewOf(room).past);
  table(room, [
    ['turns', `${stats.length}, since you joined`],
    ['prompt', `${sum(stats.map((s) => s.promptTokens))} tokens`],
    ['answers', `${sum(stats.map((s) => s.completionTokens))} tokens`],
  ]);
  room.ctx.output.out('What a token costs is not known here.\n');
};

const stats = (room: Room): void => {
  const { state, past } = viewOf(room);
  const said = ended(past);
  const count = (role: string): number => state.messages.filter((message) => message.role === role).length;
  const speeds = said.map((s) => s.speed).filter((speed) => speed > 0);
  table(room, [
    ['messages', `${count('user')} from people, ${count('assistant')} from the model`],
    ['tool calls', String(state.toolCallCount)],
    ['time', `${(sum(said.map((s) => s.elapsedMs)) / 1_000).toFixed(1)} s in ${said.length} turns since you joined`],
    ['speed', speeds.length === 0 ? 'not known' : `${(sum(speeds) / speeds.length).toFixed(1)} tokens/s`],
  ]);
};

const history = (room: Room): void => {
  const said = viewOf(room).state.messages.filter((message) => message.role === 'user');
  if (said.length === 0) room.ctx.output.out('Nothing was said yet.\n');
  const first = Math.max(0, said.length - HISTORY_SHOWN);
  for (const [i, { content }] of said.slice(first).entries())
    room.ctx.output.out(`${String(first + i + 1).padStart(4)}  ${oneLine(content, 120)}\n`);
};

const diff = async (room: Room, args: readonly string[]): Promise<void> => {
  const { ctx, signal } = room;
  const cwd = viewOf(room).state.workspace ?? ctx.cwd;
  const say = (text: string): void => ctx.output.out(text);
  const git = (...more: string[]) => {
    const command = ['git', '--no-pager', '-c', 'color.ui=never', ...more] as const;
    return runShell({ command, cwd, env: { ...ctx.env, GIT_OPTIONAL_LOCKS: '0' }, signal, say });
  };
  const failed =
    (await git('status', '--short')) ?? (await git('diff', 'HEAD', ...(args[0] === '--stat' ? ['--stat'] : [])));
  if (failed !== null) ctx.output.err(`git: ${failed}\n`);
};

const KEYS = {
  line: [
    ['Enter', 'send; a line that ends with \\ goes on in the next'],
    ['Up, Down', 'what you said before'],
    ['Ctrl-C', 'cancel the turn that runs; at an empty prompt, leave'],
    ['Ctrl-D', 'leave'],
  ],
  screen: [
    ['Enter', 'send'],
    ['Alt+Enter', 'a new line'],
    ['Up, Down', 'what you said before'],
    ['Ctrl+C', 'cancel your turn; else leave'],
    ['Esc', 'close what is open, else cancel your turn'],
    ['Ctrl+O', 'sessions'],
    ['PgUp, PgDn', 'scroll'],
    ['Ctrl+L', 'draw the screen anew'],
    ['F1', 'help'],
  ],
} as const;

/** What only looks. */
export const LOOKING: readonly SlashCommand[] = [
  {
    name: 'permissions',
    aliases: ['perms', 'perm'],
    usage: '',
    text: 'what asks, and your own rules',
    run: async (room) => {
      const { mode, overrides } = room.talk.settings;
      const { output } = room.ctx;
      output.out('Reading is allowed.');
      if (mode !== 'chat' && mode !== 'do') output.out(` The mode ${mode} refuses everything else.\n`);
      else if (overrides.dangerous) output.out(' So is everything else (/auto off ends it).\n');
      else if (overrides.auto) output.out(' Edits are allowed, commands ask (/auto off ends it).\n');
      else output.out(' Everything else asks.\n');
      output.out('Your rules, of which a deny always holds (opta config set permissions.rules):\n');
      await configCommand(room.ctx, 'get', 'permissions.rules', undefined, {});
    },
  },
  {
    name: 'diff',
    aliases: [],
    usage: '[--stat]',
    text: 'what changed in the workspace, as git sees it',
    run: (room, { args }) => diff(room, args),
  },
  { name: 'status', aliases: [], usage: '', text: 'this session, its model and its queue', run: status },
  {
    name: 'why',
    aliases: [],
    usage: '',
    text: 'what this session waits for, and who can end the wait',
    run: ({ ctx, talk }) => whyCommand(ctx, talk.sessionId, {}),
  },
  {
    name: 'config',
    aliases: [],
    usage: '[get | set | list | explain] [key] [value]',
    text: 'read and change the configuration',
    run: ({ ctx }, { args }) => {
      const [action = 'list', key, ...value] = args;
      return configCommand(ctx, action, key, value.length === 0 ? undefined : value.join(' '), {});
    },
  },
  {
    name: 'doctor',
    aliases: [],
    usage: '',
    text: 'check this installation',
    run: ({ ctx }) => doctorCommand(ctx, { format: 'text' }),
  },
  {
    name: 'debug',
    aliases: [],
    usage: '[--json] [--doctor]',
    text: 'the statecharts of this session, with their active states',
    run: async ({ ctx, talk }, { args }) => {
      await inspectCommand(ctx, talk.sessionId, { tree: true, ...(args.includes('--json') ? { json: true } : {}) });
      if (args.includes('--doctor')) await doctorCommand(ctx, { format: 'text' });
    },
  },
  {
    name: 'daemon',
    aliases: [],
    usage: '[status | logs]',
    text: 'the daemon, or the end of its log',
    run: ({ ctx }, { args }) => {
      const [action = 'status'] = args;
      if (action === 'status') return daemonStatusCommand(ctx, {});
      if (action === 'logs') return logsCommand(ctx, { lines: 20 });
      throw new UsageError('/daemon takes status or logs; to start and stop it: opta daemon');
    },
  },
  { name: 'cost', aliases: ['tokens', 'usage'], usage: '', text: 'tokens of this sitting', run: cost },
  { name: 'history', aliases: [], usage: '', text: 'what was asked in this session', run: history },
  { name: 'stats', aliases: ['analytics'], usage: '', text: 'figures of this session', run: stats },
  {
    name: 'keys',
    aliases: [],
    usage: '',
    text: 'the keys',
    run: (room) => table(room, KEYS[room.face]),
  },
];
