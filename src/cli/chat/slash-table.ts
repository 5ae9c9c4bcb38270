import { UsageError } from '../exit.ts';
import type { Elsewhere, SlashCommand, SlashTable } from './slash.ts';
import { find, usageOf } from './slash.ts';
import { LOOKING } from './slash-looking.ts';
import { SESSIONS } from './slash-sessions.ts';
import { TURNS } from './slash-turns.ts';

const help: SlashCommand = {
  name: 'help',
  aliases: ['h', '?'],
  usage: '[command]',
  text: 'the commands, or one of them',
  run: ({ ctx }, { args }) => {
    const [name] = args;
    if (name !== undefined) {
      const command = find(SLASH, name.replace(/^\//, '').toLowerCase());
      if (command === undefined) throw new UsageError(`There is no command ${name}`);
      ctx.output.out(usageOf(command));
      return;
    }
    const rows = SLASH.commands.map((c) => [`/${c.name}${c.usage === '' ? '' : ` ${c.usage}`}`, c.text] as const);
    const width = Math.min(22, Math.max(...rows.map(([left]) => left.length)));
    for (const [left, right] of rows) ctx.output.out(`  ${left.padEnd(width)}  ${right}\n`);
    ctx.output.out('\n  !command runs a line in your shell; @path attaches a file; /command --help says more.\n');
  },
};

const exit: SlashCommand = {
  name: 'exit',
  aliases: ['quit', 'q'],
  usage: '',
  text: 'leave; the session stays',
  run: (room) => room.leave(),
};

const terminal = (command: string): string => `type it in another terminal: opta ${command}`;
const NOT_HERE = 'not part of this build';

const elsewhere: Elsewhere = {
  checkpoint: 'each turn is one by itself: /undo takes back what the newest did to files',
  cp: 'each turn is one by itself: /undo takes back what the newest did to files',
  compact: 'it happens by itself when a conversation outgrows what the model can read; /clear begins a new session',
  server: terminal('server'),
  image: 'images cannot be sent: a message is text',
  agent: `${NOT_HERE}: say in a message how the model should behave`,
  profile: `${NOT_HERE}: say in a message how the model should behave`,
  autonomy: 'there are no levels: /auto allows edits, /auto dangerous everything, /auto off asks',
  init: terminal('init'),
  mcp: terminal('mcp list'),
  key: terminal('key show'),
  apikey: terminal('key show'),
  embed: terminal('embed'),
  rerank: terminal('rerank'),
  completions: terminal('completions'),
  load: terminal('models load'),
  unload: terminal('models unload'),
  scan: terminal('models scan'),
  lmx: terminal('lmx --help'),
  serve: terminal('serve'),
  diagnose: '/doctor does it',
  metrics: terminal('daemon status'),
  events: terminal('sessions export <id> --format jsonl'),
  commit: 'type it with !git commit, or ask the model to',
  export: '/share writes the session to a file',
  save: 'nothing to do: every event is on disk',
  ...Object.fromEntries(
    [
      ...[
        'context',
        'graph',
        'expand',
        'think',
        'theme',
        'sidebar',
        'memory',
        'mem',
        'benchmark',
        'predictor',
        'helpers',
      ],
      ...['quantize', 'agents', 'lmx-skills', 'rag', 'preset', 'presets', 'probe', 'compatibility', 'autotune'],
      ...['autotune-status', 'delete', 'stack', 'model-perf', 'downloads', 'browser', 'br', 'update', 'skills'],
      ...['quickfix', 'fix', 'repair', 'whoami', 'logout', 'report', 'summary', 'gu', 'improve', 'perfect', 'atpo'],
      'codereview',
    ].map((name) => [name, NOT_HERE]),
  ),
};

/** Every slash command, in the order in which help lists them. */
export const SLASH: SlashTable = { commands: [help, exit, ...SESSIONS, ...TURNS, ...LOOKING], elsewhere };
