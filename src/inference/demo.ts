import type { Clock, Inference, InferenceRequest } from '../actors/ports.ts';
import { type Intent, understand } from './demo-intents.ts';
import { createPlayer, type ScriptStep } from './scripted.ts';

/**
 * The demo engine: no model. It turns plain requests into real tool calls by fixed rules and tells what the results held, so
 * that everything around a model can be seen at work. It says so in every answer, and says nothing that no tool told it.
 */
export const createDemo = (config: { clock: Clock; paceMs?: number }): Inference & { close(): void } => {
  const { clock, paceMs = 4 } = config;
  const player = createPlayer({ clock, provider: 'demo', script: (request) => script(request, paceMs) });
  return { ...player, stream: (request, on) => player.stream({ ...request, model: 'demo' }, on) };
};

const LABEL = '[demo] ';
const SHOWN = 20;
type Made = { name: string; args: { [name: string]: unknown }; result: string };

function* script(request: InferenceRequest, paceMs: number): Generator<ScriptStep> {
  const at = request.messages.findLastIndex((m) => m.role === 'user');
  const intent = understand(request.messages[at]?.content ?? '');
  const made = resultsAfter(request, at);
  let words = 0;
  const say = function* (text: string, afterMs: number): Generator<ScriptStep> {
    for (const word of text.match(/\s*\S+|\s+$/g) ?? []) {
      words++;
      yield { text: word, afterMs };
    }
  };
  if (intent.tell === 'stream') {
    const { words: upTo, perSecond } = intent.call[1] as { words: number; perSecond: number };
    const pace = perSecond > 0 ? 1000 / perSecond : paceMs;
    yield* say(`${LABEL}Counting to ${upTo}:`, pace);
    for (let i = 1; i <= upTo; i++) yield* say(` word-${i}`, pace);
  } else {
    const { text, calls = [] } = decide(intent, made, new Set(request.tools.map((t) => t.name)));
    yield* say(LABEL + text, paceMs);
    for (const [name, args] of calls) yield { call: { name, args } };
  }
  const promptTokens = Math.ceil(request.messages.reduce((n, m) => n + m.content.length, 0) / 4);
  yield { end: { usage: { promptTokens, completionTokens: words } } };
}

/** What was called since the user spoke, with what came back. */
const resultsAfter = ({ messages }: InferenceRequest, at: number): Made[] => {
  const since = messages.slice(at + 1);
  return since
    .flatMap((m) => m.tool_calls ?? [])
    .flatMap(({ id, function: { name, arguments: raw } }) => {
      const result = since.find((m) => m.role === 'tool' && m.tool_call_id === id)?.content;
      return result === undefined ? [] : [{ name, args: JSON.parse(raw) as Made['args'], result: result.trim() }];
    });
};

/** The next calls with a word about them, or the answer. */
const decide = (intent: Intent, made: Made[], offered: Set<string>): { text: string; calls?: Intent['call'][] } => {
  if (intent.tell === 'help') return { text: HELP };
  const { call, saveTo } = intent;
  const missing = [call[0], ...(saveTo ? ['write_file'] : [])].find((name) => !offered.has(name));
  if (missing) return { text: `That needs the tool ${missing}, which is not offered in this mode.` };
  const got = made[0];
  if (!got) return { text: `Calling ${call[0]}.\n`, calls: [call] };
  if (refused(got)) return { text: `${got.name} gave no result: ${got.result}` };
  if (intent.tell === 'layout' && made.length === 1 && offered.has('read_file')) {
    const paths = entriesOf(got.result).flatMap((e) =>
      /^(readme(\.\w+)?|package\.json)$/i.test(e.name) ? [e.name] : [],
    );
    const base = call[1].path === '.' ? '' : `${String(call[1].path).replace(/\/$/, '')}/`;
    const calls = paths.slice(0, 2).map((p): Intent['call'] => ['read_file', { path: base + p, limit: 60 }]);
    if (calls.length > 0) return { text: 'Reading what describes it.\n', calls };
  }
  const text = tell(intent, made);
  if (!saveTo) return { text };
  const saved = made.find((m) => m.name === 'write_file');
  if (!saved)
    return { text: `Writing that to ${saveTo}.\n`, calls: [['write_file', { path: saveTo, content: `${text}\n` }]] };
  return { text: `${text}\n\n${refused(saved) ? `It was not saved: ${saved.result}` : `${saved.result}.`}` };
};

/** A result has its tool's shape; an error or a refusal is a sentence. */
const SHAPE: { [tool: string]: RegExp } = {
  list_dir: /^(\[|.*(\/$|\t| -> ))/m,
  read_file: /^(\[|\d+\t)/,
  search_files: /^(\[|.+?:\d+: )/,
  find_files: /^(\[|(?!.* .*\.$).+)/,
  write_file: /^(Created|Replaced) /,
  edit_file: /^Edited /,
  ask_user: /^(?!No answer: )/,
};
const refused = ({ name, result }: Made): boolean =>
  result.startsWith('Error (') || SHAPE[name]?.test(result) === false;
const linesOf = (result: string): string[] => result.split('\n').filter((l) => l !== '' && !/^\[.*\]$/.test(l));
const textOf = (result: string): string[] => linesOf(result).map((l) => l.replace(/^\d+\t/, ''));
const some = (lines: string[]): string =>
  [...lines.slice(0, SHOWN), ...(lines.length > SHOWN ? [`… and ${lines.length - SHOWN} more`] : [])]
    .map((l) => `\n- ${l}`)
    .join('');
const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
const size = (bytes: number): string => (bytes < 1024 ? `${bytes} bytes` : `${(bytes / 1024).toFixed(1)} KB`);
const extension = (name: string): string => /[^/](\.\w+)$/.exec(name)?.[1] ?? 'no extension';
const tally = (keys: string[]): [string, number][] => {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
};
const entriesOf = (result: string) =>
  linesOf(result).map((line) => {
    const [name = '', bytes] = line.split('\t');
    return { name: name.replace(/\/$/, ''), folder: name.endsWith('/'), bytes: Number(bytes) || 0 };
  });

const tell = ({ tell: what, call: [, args] }: Intent, made: Made[]): string => {
  const result = made[0]?.result ?? '';
  const lines = linesOf(result);
  const remark = /(?:^|\n)\[([^\n]*)\]$/.exec(result)?.[1];
  const note = remark ? `\n(The tool adds: ${remark}.)` : '';
  if (what === 'change') return `${result}.`;
  if (what === 'ask') return `You answered: ${result}`;
  if (what === 'lines')
    return `\`${args.path}\` has ${count(lines.length, 'line')}${note ? ` in the part that was read.${note}` : '.'}`;
  if (what === 'read') return readText(String(args.path), textOf(result)) + note;
  if (what === 'list' || what === 'tree' || what === 'layout') return folderText(what, String(args.path), made) + note;
  const hits = what === 'find' ? [] : tally(lines.map((l) => /^(.+?):\d+: /.exec(l)?.[1] ?? '?'));
  const found =
    what === 'find' ? count(lines.length, 'file') : `${count(lines.length, 'line')} in ${count(hits.length, 'file')}`;
  const shown = what === 'count' ? hits.map(([file, n]) => `${file}: ${n}`) : lines;
  if (lines.length === 0) return `Nothing matches \`${args.pattern}\`.`;
  return `${found} ${lines.length === 1 ? 'matches' : 'match'} \`${args.pattern}\`:${some(shown)}${note}`;
};

const readText = (path: string, body: string[]): string => {
  const headings = /\.(md|markdown)$/i.test(path) ? body.flatMap((l) => /^#{1,3} (.+)/.exec(l)?.[1] ?? []) : [];
  const about = headings.length > 0 ? ` Its headings:${some(headings)}\n\nIt` : ' It';
  return `\`${path}\` has ${count(body.length, 'line')}.${about} begins:\n\n\`\`\`\n${body.slice(0, SHOWN).join('\n')}\n\`\`\``;
};

const folderText = (what: 'list' | 'tree' | 'layout', path: string, made: Made[]): string => {
  const found = entriesOf(made[0]?.result ?? '');
  const files = found.filter((e) => !e.folder);
  const held = `${count(files.length, 'file')} (${size(files.reduce((n, e) => n + e.bytes, 0))})`;
  const head = `${path === '.' ? 'The folder' : `\`${path}\``} holds ${held} and ${count(found.length - files.length, 'folder')}`;
  if (what === 'list')
    return `${head}:${some(found.map((e) => (e.folder ? `${e.name}/` : `${e.name} (${size(e.bytes)})`)))}`;
  const kinds = tally(files.map((e) => extension(e.name))).slice(0, 8);
  const tops = tally(files.map((e) => (e.name.includes('/') ? `${e.name.split('/')[0]}/` : 'at the top')));
  const about = made
    .slice(1)
    .filter((m) => m.name === 'read_file')
    .map(described);
  return `${head}. By kind: ${kinds.map(([k, n]) => `${k} ${n}`).join(', ') || 'none'}.${some(tops.map(([k, n]) => `${k}: ${count(n, 'file')}`))}${about.join('')}`;
};

/** The first paragraph of a README; name, version and description of a package.json. */
const described = (m: Made): string => {
  if (refused(m)) return `\n\n\`${m.args.path}\` could not be read: ${m.result}`;
  const body = textOf(m.result).join('\n');
  const paragraph = /^[A-Za-z*_"][\s\S]*?(?=\n\s*\n|$(?![\s\S]))/m.exec(body)?.[0].slice(0, 600) ?? 'nothing in words';
  const fields = ['name', 'version', 'description'].flatMap(
    (f) => new RegExp(`"${f}":\\s*"([^"]+)"`).exec(body)?.[1] ?? [],
  );
  return `\n\n\`${m.args.path}\` says: ${/\.json$/.test(String(m.args.path)) ? fields.join(', ') : paragraph}`;
};

const HELP = `I am the demo engine: fixed rules, no model. I understand plain requests about the files of this workspace:
- list src · list everything in docs · how many .ts files are there
- read README.md · how many lines has package.json
- search for "TODO" in src · count occurrences of TODO · find *.ts
- summarise the layout of this folder (and save it to NOTES.md)
- write a note saying … · replace "a" with "b" in file.txt
- ask me which colour: red, green or blue
- stream 500 words`;
