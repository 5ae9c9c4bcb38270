// A server of tools that speaks MCP over its standard streams, in plain JSON-RPC. Its first argument says how it misbehaves:
// `hang` never answers, `die` ends at once with a word on stderr, `babble` says what is no JSON, `stubborn` hangs and does not end when
// it is told to. `family FILE` starts a child that outlives it, and writes both pids to the file.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [mode, file] = process.argv.slice(2);

if (mode === 'die') {
  process.stderr.write(`no database at ${process.env.DATABASE ?? 'nowhere'}\n`);
  process.exit(7);
}
if (mode === 'stubborn') process.on('SIGTERM', () => undefined);
if (mode === 'family' || mode === 'stubborn') {
  const child = spawn(process.execPath, ['-e', "process.on('SIGTERM',()=>{});setInterval(()=>{},1e3)"], {
    stdio: 'ignore',
  });
  writeFileSync(file, JSON.stringify([process.pid, child.pid]));
  setInterval(() => undefined, 1_000);
}
if (mode === 'babble') process.stdout.write('}{ hello\n');

const TOOLS = [
  { name: 'add', description: 'Adds two numbers', inputSchema: { type: 'object' } },
  {
    name: 'env',
    description: `Sees ${Object.keys(process.env).filter((n) => /OPTA|GREETING/.test(n))}`,
    inputSchema: { type: 'object' },
  },
];

export const answerOf = ({ method, params }) => {
  if (method === 'initialize')
    return {
      protocolVersion: params.protocolVersion,
      capabilities: { tools: {} },
      serverInfo: { name: 'fixture', version: '1.2.3' },
    };
  if (method === 'tools/list') return { tools: TOOLS };
  return undefined;
};

if (process.argv[1].endsWith('mcp-server.mjs') && mode !== 'hang' && mode !== 'stubborn') {
  createInterface({ input: process.stdin }).on('line', (line) => {
    const { id, ...ask } = JSON.parse(line);
    if (id === undefined) return;
    const result = answerOf(ask);
    const body = result ? { result } : { error: { code: -32601, message: 'Method not found' } };
    process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...body })}\n`);
  });
} else if (mode === 'hang') setInterval(() => undefined, 1_000);
