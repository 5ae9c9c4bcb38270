// A server of tools over its standard streams that can be told to misbehave by its tools: `echo`, `crash` (ends in the middle of the call),
// `hang` (never answers), `big` (two million characters), `picture`, `fail`, `pid`. With a file as its argument it adds its pid to it.
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

if (process.argv[2]) appendFileSync(process.argv[2], `${process.pid}\n`);
if (process.argv[3] === 'deaf') process.on('SIGTERM', () => undefined);
if (process.argv[3] === 'deaf') setInterval(() => undefined, 1_000);

const object = { type: 'object', properties: { text: { type: 'string' } } };
const names = ['echo', 'crash', 'hang', 'big', 'picture', 'fail', 'pid', 'odd name/ü'];
const tools = names.map((name) => ({ name, description: `Does ${name}`, inputSchema: object }));
const text = (said) => ({ content: [{ type: 'text', text: said }] });

const call = ({ name, arguments: args }) => {
  if (name === 'crash') process.exit(9);
  if (name === 'big') return text('x'.repeat(2_000_000));
  if (name === 'picture') return { content: [{ type: 'image', data: 'AAAA', mimeType: 'image/png' }] };
  if (name === 'fail') return { ...text('it did not work'), isError: true };
  if (name === 'pid') return text(`${process.pid} ${Object.keys(process.env).filter((n) => /OPTA|TOKEN/.test(n))}`);
  return text(JSON.stringify(args));
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) {
    if (method === 'notifications/cancelled' && process.argv[2]) appendFileSync(process.argv[2], 'cancelled\n');
    return;
  }
  if (method === 'tools/call' && params.name === 'hang') return;
  const result =
    method === 'initialize'
      ? {
          protocolVersion: params.protocolVersion,
          capabilities: { tools: {} },
          serverInfo: { name: 'f', version: '1' },
        }
      : method === 'tools/list'
        ? { tools }
        : method === 'tools/call'
          ? call(params)
          : undefined;
  const body = result ? { result } : { error: { code: -32601, message: 'Method not found' } };
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...body })}\n`);
});
