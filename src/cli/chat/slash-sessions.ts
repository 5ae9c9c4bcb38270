import { createWriteStream } from 'node:fs';
import { extname, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { tagsOf } from '../../operations/session-records.ts';
import { OptaError } from '../../protocol/errors.ts';
import { callOf } from '../call.ts';
import { sessionsCommand } from '../commands/sessions.ts';
import { UsageError } from '../exit.ts';
import { oneLine } from '../output.ts';
import type { Room, SlashCommand } from './slash.ts';
import { newSession, pickSession } from './target.ts';

const stateOf = (room: Room) => room.talk.link.view.current.state;

const TAGS_MAX = 32;

const FORMATS: { [extension: string]: 'json' | 'jsonl' | 'markdown' } = {
  '.json': 'json',
  '.jsonl': 'jsonl',
  '.md': 'markdown',
};

const share = async ({ ctx, talk, signal }: Room, name: string): Promise<void> => {
  const path = resolve(ctx.cwd, name === '' ? `opta-${talk.sessionId.slice(0, 8)}.md` : name);
  const format = FORMATS[extname(path).toLowerCase()];
  if (format === undefined) throw new UsageError('share writes .md, .json or .jsonl');
  const text = talk.client.stream('sessions.export', { params: { id: talk.sessionId }, query: { format }, signal });
  try {
    // Never over something that is there.
    await pipeline(Readable.from(text), createWriteStream(path, { flags: 'wx', mode: 0o600 }));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') throw new UsageError(`${path} exists`);
    if (cause instanceof OptaError) throw cause;
    throw new OptaError('internal', `Could not write ${path}: ${(cause as Error).message}`);
  }
  ctx.output.out(`Wrote ${path}\n`);
};

/** Which session, and what is written on it. */
export const SESSIONS: readonly SlashCommand[] = [
  {
    name: 'clear',
    aliases: ['new'],
    usage: '',
    text: 'begin anew, in a new session; this one stays as it is',
    run: async (room) => {
      const before = room.talk.sessionId;
      const { model, workspace } = stateOf(room);
      await room.go(await newSession(room.ctx, room.talk.client, { model, workspace: workspace ?? room.ctx.cwd }));
      room.ctx.output.out(`A new session. The one before: /resume ${before}\n`);
    },
  },
  {
    name: 'sessions',
    aliases: [],
    usage: '[words]',
    text: 'list sessions, or those that have these words',
    run: async ({ ctx }, { args }) => void (await sessionsCommand(ctx, args.length > 0 ? 'search' : 'list', args, {})),
  },
  {
    name: 'resume',
    aliases: ['open'],
    usage: '<id or words>',
    text: 'go on in another session',
    run: async (room, { rest }) => {
      if (rest === '') throw new UsageError('resume needs a session id, or words of it');
      await room.go(await pickSession(callOf(room.talk.client), rest, null));
    },
  },
  {
    name: 'rename',
    aliases: ['title'],
    usage: '<title>',
    text: 'give this session a title',
    run: async ({ talk }, { rest }) => {
      if (rest === '') throw new UsageError('rename needs a title');
      await talk.client.call('sessions.patch', { params: { id: talk.sessionId }, body: { title: rest.slice(0, 500) } });
    },
  },
  {
    name: 'tag',
    aliases: ['t'],
    usage: '[words | -word]',
    text: 'put tags on this session, take one off, or show them',
    run: async (room, { args }) => {
      const { ctx, talk } = room;
      const off = args.filter((word) => word.startsWith('-')).map((word) => word.slice(1));
      const on = args.filter((word) => !word.startsWith('-')).map((word) => word.slice(0, 64));
      const kept = tagsOf(stateOf(room).metadata).filter((tag) => !off.includes(tag));
      const tags = [...new Set([...kept, ...on])].slice(0, TAGS_MAX);
      if (args.length > 0) {
        const body = { metadata: { tags: tags.length === 0 ? null : tags } };
        await talk.client.call('sessions.patch', { params: { id: talk.sessionId }, body });
      }
      ctx.output.out(`${tags.length === 0 ? 'no tags' : oneLine(tags.join(', '), 400)}\n`);
    },
  },
  {
    name: 'share',
    aliases: [],
    usage: '[file.md | file.json | file.jsonl]',
    text: 'write this session to a file',
    run: (room, { rest }) => share(room, rest),
  },
];
