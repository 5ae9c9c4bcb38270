import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import type { WebSocket } from 'ws';
import type { Answer, Ask, Listening } from './daemon.ts';

/**
 * What a daemon says, held against the descriptions that it serves: an answer has a declared status and type and the schema of
 * both, a frame fits exactly one message of its channel. Objects are taken as closed, so a member that is not described is found.
 */
export interface Described {
  /** What is wrong with an answer, or nothing. */
  answer(method: string, path: string, answer: Pick<Answer, 'status' | 'headers' | 'text'>): string[];
  /** A frame of a socket, or a message of an event stream. */
  frame(channel: Channel, text: string): string[];
  /** A stream over HTTP as it came. */
  stream(path: string, answer: Pick<Answer, 'status' | 'headers' | 'text'>): string[];
  closed(code: number): string[];
  readonly seen: { readonly operations: Set<string>; readonly messages: Set<string> };
}

export type Channel = 'socket' | 'events' | 'health' | 'overview' | 'inspection';

/** Holds what passes between the tests and one daemon against its description. */
export class Witness {
  readonly #described: Described;
  readonly #wrong: string[] = [];
  readonly #streams: (() => void)[] = [];

  constructor(described: Described) {
    this.#described = described;
  }

  /** Throws at once. */
  answer({ method = 'GET', path }: Ask, answer: Answer): Answer {
    const wrong = this.#described.answer(method, path, answer);
    if (wrong.length > 0) throw new Error(`not as described: ${wrong.join('\n')}`);
    return answer;
  }

  stream({ path }: Ask, stream: Listening): Listening {
    let isJudged = false;
    const judge = (): void => {
      if (!isJudged) this.#wrong.push(...this.#described.stream(path, { ...stream, text: stream.text() }));
      isJudged = true;
    };
    this.#streams.push(judge);
    const close = (): void => {
      judge();
      stream.close();
    };
    return { ...stream, close };
  }

  socket(ws: WebSocket): void {
    ws.on('message', (data) => this.#wrong.push(...this.#described.frame('socket', String(data))));
    ws.on('close', (code) => this.#wrong.push(...this.#described.closed(code)));
  }

  /** Throws what was wrong with frames and streams. */
  settle(): void {
    for (const judge of this.#streams) judge();
    const wrong = [...new Set(this.#wrong)];
    if (wrong.length > 0) throw new Error(`${wrong.length} not as described:\n${wrong.slice(0, 20).join('\n')}`);
  }
}

type Json = { [member: string]: unknown };

/** What was seen in this file, by all its daemons: `sessions.get 200`, `turn.token`. */
const seen = { operations: new Set<string>(), messages: new Set<string>() };
const known = new Map<string, Described>();

/** Compiles a pair of documents once in each file, and each schema when it is first needed. */
export const describedBy = (openapi: string, asyncapi: string): Described => {
  const key = openapi + asyncapi;
  const described = known.get(key) ?? describe(JSON.parse(openapi), JSON.parse(asyncapi));
  known.set(key, described);
  return described;
};

const describe = (openapi: Json, asyncapi: Json): Described => {
  const http = new Schemas('openapi', openapi);
  const frames = new Schemas('asyncapi', asyncapi);
  const routes = routesOf(openapi);
  const channels = channelsOf(asyncapi);
  const codes = (at(asyncapi, 'channels', 'socket', 'x-opta-close-codes') as { code: number }[]).map((c) => c.code);

  const frame = (channel: Channel, text: string): string[] => {
    const value: unknown = JSON.parse(text);
    const tried = channels[channel].map((name) => ({
      name,
      fits: frames.at('components', 'messages', name, 'payload'),
    }));
    const fitting = tried.filter(({ fits }) => fits(value)).map(({ name }) => name);
    if (fitting.length === 1) seen.messages.add(fitting[0] as string);
    if (fitting.length === 1) return [];
    // The one that it was meant to be says best why it is none.
    const meant = (value as { event?: string }).event ?? 'error';
    const why = channels[channel].includes(meant)
      ? problems(frames.at('components', 'messages', meant, 'payload'), value)
      : '';
    return [`${channel}: fits ${fitting.join(' and ') || 'no message'}: ${why} ${text.slice(0, 400)}`];
  };

  const answer: Described['answer'] = (method, path, { status, headers, text }) => {
    const [pathname = ''] = path.split('?');
    const told = `${method} ${pathname} ${status}`;
    if (method === 'OPTIONS') return status === 204 ? [] : [`${told}: not 204`];
    const route = routes.find(
      (r) => r.method === (method === 'HEAD' ? 'get' : method.toLowerCase()) && r.fits(pathname),
    );
    if (!route) return undescribed(http, told, status, text);
    const responses = at(openapi, 'paths', route.template, route.method, 'responses') as { [status: string]: Json };
    const name = [String(status), `${Math.floor(status / 100)}XX`].find((s) => s in responses);
    if (name === undefined) return [`${told}: ${route.id} does not declare this status: ${text.slice(0, 300)}`];
    seen.operations.add(`${route.id} ${status}`);
    if (text === '' && (method === 'HEAD' || status === 304)) return [];
    const [place, response] = http.follow(['paths', route.template, route.method, 'responses', name]);
    const type = String(headers['content-type'] ?? '');
    const declared = Object.keys((response.content ?? {}) as Json);
    const fitting = declared.find((d) => type === d) ?? declared.find((d) => type.split(';')[0] === d);
    if (fitting === undefined) return [`${told}: ${route.id} does not declare the type ${type}`];
    if (!/[/+]json$/.test(fitting)) return [];
    const fits = http.at(...place, 'content', fitting, 'schema');
    const value: unknown = JSON.parse(text);
    return fits(value) ? [] : [`${told}, ${route.id}: ${problems(fits, value)}: ${text.slice(0, 600)}`];
  };

  const stream: Described['stream'] = (path, { status, headers, text }) => {
    const channel = STREAMS.find(([start]) => path.startsWith(start))?.[1] ?? 'health';
    const wrong = answer('GET', path, { status, headers, text });
    if (status !== 200) return wrong;
    const blocks = text.split('\n\n').slice(0, -1);
    return [...wrong, ...blocks.flatMap((block) => inBlock(block, (data) => frame(channel, data)))];
  };

  const closed = (code: number): string[] => (codes.includes(code) ? [] : [`a socket was closed with ${code}`]);
  return { answer, frame, stream, closed, seen };
};

/** One event of a stream: a comment, a message with an id or without, or an error. */
const inBlock = (block: string, message: (data: string) => string[]): string[] => {
  if (block.startsWith(':')) return [];
  const data = /^(?:id: \d+\n|event: error\n)?data: (.*)$/.exec(block)?.[1];
  return data === undefined ? [`no event of a stream: ${block.slice(0, 200)}`] : message(data);
};

/** A path that is no route has one answer; and what comes before the route is looked at. */
const undescribed = (http: Schemas, told: string, status: number, text: string): string[] => {
  if (![404, 403, 414].includes(status)) return [`${told}: no operation is described for it`];
  if (text === '' && told.startsWith('HEAD')) return [];
  const fits = http.at('components', 'schemas', 'Error');
  const value: unknown = JSON.parse(text);
  return fits(value) ? [] : [`${told}: ${problems(fits, value)}`];
};

const problems = (fits: ValidateFunction, value: unknown): string => {
  fits(value);
  return (fits.errors ?? []).map((e) => `${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`).join('; ');
};

// --- the documents

class Schemas {
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
  readonly #document: Json;
  readonly #id: string;
  readonly #compiled = new Map<string, ValidateFunction>();

  constructor(name: string, document: Json) {
    this.#id = `https://opta.invalid/${name}.json`;
    this.#document = document;
    this.#ajv.addSchema({ ...(closed(document, document) as Json), $id: this.#id });
  }

  at(...place: readonly string[]): ValidateFunction {
    const pointer = place
      .map((step) => `/${encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'))}`)
      .join('');
    const known = this.#compiled.get(pointer) ?? this.#ajv.compile({ $ref: `${this.#id}#${pointer}` });
    this.#compiled.set(pointer, known);
    return known;
  }

  /** The object at a place and where it really stands. */
  follow(place: readonly string[]): [place: string[], found: Json] {
    const found = at(this.#document, ...place) as Json;
    if (typeof found.$ref !== 'string') return [[...place], found];
    return this.follow(found.$ref.slice(2).split('/'));
  }
}

const at = (json: unknown, ...place: readonly string[]): unknown =>
  place.reduce((found, step) => (found as Json | undefined)?.[step], json);

/**
 * Objects as closed as their schema lets them be. The parts of an `allOf` stay open, since none knows the members of the others: the
 * whole is closed.
 */
export const closed = (json: unknown, document: unknown, isPart = false): unknown => {
  if (Array.isArray(json)) return json.map((item) => closed(item, document, isPart));
  if (typeof json !== 'object' || json === null) return json;
  const { $ref } = json as Json;
  // A part is taken as it is in this place: elsewhere it is a whole.
  if (isPart && typeof $ref === 'string') return closed(at(document, ...$ref.slice(2).split('/')), document, true);
  const copy: Json = {};
  for (const [key, value] of Object.entries(json)) {
    copy[key] = closed(value, document, key === 'allOf' || (isPart && (key === 'oneOf' || key === 'anyOf')));
  }
  if (isPart || 'additionalProperties' in copy) return copy;
  if (Array.isArray(copy.allOf)) return { ...copy, unevaluatedProperties: false };
  return typeof copy.properties === 'object' ? { ...copy, additionalProperties: false } : copy;
};

interface RouteOf {
  id: string;
  method: string;
  template: string;
  fits(path: string): boolean;
}

/** Those with fewer parameters come first. */
const routesOf = (openapi: Json): RouteOf[] => {
  const paths = openapi.paths as { [template: string]: { [method: string]: { operationId: string } } };
  const all = Object.entries(paths).flatMap(([template, methods]) => {
    const segments = template.split('/');
    const fits = (path: string): boolean => {
      const given = path.split('/');
      return given.length === segments.length && segments.every((s, i) => s.startsWith('{') || s === given[i]);
    };
    return Object.entries(methods).map(([method, { operationId: id }]) => ({ id, method, template, fits }));
  });
  const parameters = ({ template }: RouteOf) => template.split('{').length;
  return all.sort((a, b) => parameters(a) - parameters(b));
};

const STREAMS: readonly (readonly [start: string, Channel])[] = [
  ['/v3/sse/', 'events'],
  ['/v3/overview/', 'overview'],
  ['/v3/inspect/', 'inspection'],
];

/** The names of the messages that the daemon sends on each channel. */
const channelsOf = (asyncapi: Json): { [channel in Channel]: string[] } => {
  const sent: { [channel in Channel]: Set<string> } = {
    socket: new Set(),
    events: new Set(),
    health: new Set(),
    overview: new Set(),
    inspection: new Set(),
  };
  for (const { action, channel, messages } of Object.values(asyncapi.operations as { [name: string]: SendOrReceive })) {
    if (action !== 'send') continue;
    const name = channel.$ref.split('/').at(-1) as Channel;
    for (const { $ref } of messages) sent[name].add($ref.split('/').at(-1) as string);
  }
  return Object.fromEntries(Object.entries(sent).map(([channel, names]) => [channel, [...names]])) as {
    [channel in Channel]: string[];
  };
};

interface SendOrReceive {
  action: 'send' | 'receive';
  channel: { $ref: string };
  messages: { $ref: string }[];
}
