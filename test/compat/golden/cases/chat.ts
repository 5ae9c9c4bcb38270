import type { Case, Family, World } from '../case.ts';

const saying = (text: string): string => `say it @@${JSON.stringify({ text })}@@\n`;
const chat = (name: string, args: string[], more: Partial<Case> = {}): Case => ({
  name,
  args: ['chat', ...args],
  ...more,
});

const CASES: Case[] = [
  chat('json', ['--format', 'json'], { stdin: saying('one') + saying('two') }),
  chat('text', [], { stdin: saying('one') }),
  chat('nothing-said', [], { stdin: '' }),
  chat('nothing-said-json', ['-f', 'json'], { stdin: '' }),
  chat('stdin-closed-json', ['-f', 'json'], { stdin: { closed: true } }),
  chat('session-json', ['--session', 'chat-goes-on', '-f', 'json'], { stdin: saying('again') }),
  chat('resume-by-its-words-json', ['--resume', 'harbour', '-f', 'json'], { stdin: saying('again') }),
  chat('resume-missing', ['--resume', 'nobody-here'], { stdin: saying('lost') }),
  chat('resume-missing-json', ['--resume', 'nobody-here', '-f', 'json'], { stdin: saying('lost') }),
  chat('session-missing-json', ['--session', 'nobody-here', '-f', 'json'], { stdin: saying('lost') }),
  chat('unknown-format', ['-f', 'xml'], { stdin: '' }),
  chat('invalid-provider', ['--provider', 'nope'], { stdin: '' }),
  chat('turn-fails-json', ['-f', 'json'], { stdin: 'fail @@{"error":"out of luck","status":400,"code":"bad"}@@\n' }),
  chat('slash-help', [], { stdin: '/help\n' }),
  chat('slash-unknown', [], { stdin: '/frobnicate\n' }),
  chat('help', ['--help']),
  { name: 'sessions-resume', args: ['sessions', 'resume', 'chat-goes'], stdin: saying('resumed'), alone: true },
  {
    name: 'sessions-resume-json',
    args: ['sessions', 'resume', 'chat-goes-on', '--json'],
    stdin: saying('resumed'),
    alone: true,
  },
  { name: 'attach', args: ['attach', 'chat-goes'], stdin: saying('attached'), alone: true },
  { name: 'attach-json', args: ['attach', 'harbour', '--json'] },
  { name: 'attach-missing', args: ['attach', 'nobody-here'] },
  { name: 'attach-missing-json', args: ['attach', 'nobody-here', '--json'] },
  { name: 'tui-without-a-terminal', args: ['tui'], stdin: saying('one') },
  { name: 'root-json', args: ['--format', 'json'], stdin: saying('one') },
  { name: 'root-plan', args: ['--plan'], stdin: saying('one') },
];

export default {
  prepare: async ({ daemon }: World) => {
    await daemon.post('/v3/sessions', { sessionId: 'chat-goes-on', messages: [{ role: 'user', content: 'first' }] });
    await daemon.post('/v3/sessions', { sessionId: 'harbour-talk', title: 'harbour talk' });
  },
  cases: CASES,
} satisfies Family;
