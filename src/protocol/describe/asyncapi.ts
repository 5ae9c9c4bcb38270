import { z } from 'zod';
import { CONTRACT } from '../envelope.ts';
import { EVENTS, type EventName } from '../events.ts';
import { FEATURES, InboundFrameSchema, SocketWhoSchema } from '../frames.ts';
import { SessionIdSchema } from '../ids.ts';
import { type OperationId, operation } from '../operations.ts';
import { closeCodes } from './close-codes.ts';
import { EVENT_NOTES } from './examples.ts';
import { FRAME_NOTES, MESSAGE_NOTES } from './frame-notes.ts';
import { API_VERSION, addEvent, annotateErrors, DEFAULT_PORT, LICENSE } from './openapi.ts';
import {
  HealthMessageSchema,
  OUTBOUND_FRAMES,
  type OutboundFrameName,
  STREAM_MESSAGES,
  type StreamMessageName,
} from './outbound.ts';
import { sampleOf } from './samples.ts';
import { type Json, SchemaBook } from './schema-book.ts';

const ABOUT = `The event plane of a local agent daemon, contract \`${CONTRACT.name}\` version ${CONTRACT.version}: one socket on one session, and its read-only form
as an event stream. \`send\` is what the daemon sends. Its control plane is described by \`/v3/openapi.json\`; \`docs/PROTOCOL.md\` tells the whole of it.

A client keeps the \`seq\` of the last event that it has dealt with and passes it as \`afterSeq\` when it connects again: everything after it
follows, once and in order. Objects may get further members and there may be further messages: pass over those that you do not know.`;

/** The event plane as an AsyncAPI 3.0 document, from the tables of events and frames. */
export const asyncapi = (): Json => {
  const book = new SchemaBook();
  const messages = messagesOf(book);
  annotateErrors(book);
  return {
    asyncapi: '3.0.0',
    info: { title: 'Opta daemon events', version: API_VERSION, description: ABOUT, license: { name: LICENSE.name } },
    defaultContentType: 'application/json',
    servers: { sockets: server('ws'), streams: server('http') },
    channels: channelsOf(book),
    operations: operationsOf(),
    components: {
      messages,
      schemas: book.all(),
      correlationIds: {
        request: { description: 'Repeated in the one answer to the frame', location: '$message.payload#/requestId' },
        decision: { description: 'Repeated as `requestId` of the answer', location: '$message.payload#/ackId' },
      },
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: "The token of state.json, or the observer's" },
        queryToken: {
          type: 'httpApiKey',
          name: 'token',
          in: 'query',
          description: 'For browsers, which set no header',
        },
      },
    },
  };
};

const server = (protocol: 'ws' | 'http'): Json => ({
  host: '127.0.0.1:{port}',
  protocol,
  description: 'The daemon of this machine; its port and tokens stand in its state.json',
  variables: { port: { default: DEFAULT_PORT, description: '9999, or the first free one of 10000 to 10020' } },
  security: [{ $ref: '#/components/securitySchemes/bearer' }, { $ref: '#/components/securitySchemes/queryToken' }],
});

// --- messages

const EVENT_NAMES = Object.keys(EVENTS) as EventName[];
const FRAME_NAMES = Object.keys(OUTBOUND_FRAMES) as OutboundFrameName[];
const STREAM_NAMES = Object.keys(STREAM_MESSAGES) as StreamMessageName[];
const INBOUND = InboundFrameSchema.options;
type InboundType = (typeof INBOUND)[number]['shape']['type']['value'];
const INBOUND_TYPES = INBOUND.map((option) => option.shape.type.value);
/** Events and commands have names of one kind. */
const commandName = (type: InboundType): string => `command.${type}`;

const messagesOf = (book: SchemaBook): Json => {
  const message = (name: string, summary: string, payload: Json, example: unknown, correlation?: string): Json => ({
    name,
    title: name,
    summary,
    contentType: 'application/json',
    payload,
    ...(correlation ? { correlationId: { $ref: `#/components/correlationIds/${correlation}` } } : {}),
    examples: [{ name: 'example', payload: example }],
  });
  const events = EVENT_NAMES.map((name, i) => {
    const [summary, payload] = EVENT_NOTES[name];
    const schema = addEvent(book, name);
    const envelope = sampleOf(book, schema) as Json;
    return [name, message(name, summary, schema, { ...envelope, seq: i + 1, payload })];
  });
  const commands = INBOUND.map((option) => {
    const type = option.shape.type.value;
    const schema = book.named(schemaName(type, 'Command'), option, 'input');
    const { summary, example } = FRAME_NOTES[type];
    const correlation = type === 'permission.resolve' ? 'decision' : 'request';
    return [commandName(type), message(type, summary, schema, { type, ...example }, correlation)];
  });
  const frames = FRAME_NAMES.map((name) => {
    const schema = book.named(schemaName(name, 'Frame'), OUTBOUND_FRAMES[name], 'output');
    const { summary, example } = MESSAGE_NOTES[name];
    const repeats = 'requestId' in OUTBOUND_FRAMES[name].shape ? 'request' : undefined;
    return [name, message(name, summary, schema, { ...(sampleOf(book, schema) as Json), ...example }, repeats)];
  });
  const health = book.named('HealthMessage', HealthMessageSchema, 'output');
  const state = message('health', 'The health of the daemon, as it is now', health, sampleOf(book, health));
  const feeds = STREAM_NAMES.map((name) => {
    const [summary, schema] = STREAM_MESSAGES[name];
    const payload = book.named(schemaName(name, 'Message'), schema, 'output');
    return [name, message(name, summary, payload, sampleOf(book, payload))];
  });
  return Object.fromEntries([...events, ...commands, ...frames, ['health', state], ...feeds]);
};

const schemaName = (name: string, kind: string): string =>
  `${name
    .split('.')
    .map((word) => `${word[0]?.toUpperCase()}${word.slice(1)}`)
    .join('')}${kind}`;

// --- channels

const CHANNELS = {
  socket: {
    path: '/v3/ws',
    server: 'sockets',
    summary: 'One session: its events, and commands to it',
    messages: [...EVENT_NAMES, ...FRAME_NAMES, ...INBOUND_TYPES.map(commandName)],
  },
  events: {
    path: pathOf('events.stream'),
    server: 'streams',
    summary: 'The events of one session. `id` of a message is its `seq`; a failure comes as `event: error`',
    messages: [...EVENT_NAMES, 'error'],
  },
  health: {
    path: pathOf('health.stream'),
    server: 'streams',
    summary: 'The health of the daemon: at once, on each change, and every few seconds',
    messages: ['health', 'error'],
  },
  overview: {
    path: pathOf('overview.stream'),
    server: 'streams',
    summary: 'The overview: at once, soon after each change, and every two seconds',
    messages: ['overview', 'error'],
  },
  inspection: {
    path: pathOf('inspect.stream'),
    server: 'streams',
    summary: 'What live actors do, after a picture of all that live',
    messages: [...STREAM_NAMES.filter((name) => name.startsWith('inspect.')), 'error'],
  },
} as const;

function pathOf(id: OperationId): string {
  return operation(id).paths[0];
}

const channelsOf = (book: SchemaBook): Json => {
  const afterSeq = z.number().int().min(0).optional();
  const query = z.object({ sessionId: SessionIdSchema, afterSeq, ...SocketWhoSchema.shape });
  const asked = {
    ...(book.of(query, 'input') as { properties: Json }).properties,
    features: { type: 'string', description: `Names with commas between them: ${FEATURES.join(', ')}` },
    token: { type: 'string', description: 'For browsers; others set the header' },
  };
  const socket = { query: { type: 'object', required: ['sessionId'], properties: asked }, method: 'GET' };
  return Object.fromEntries(
    Object.entries(CHANNELS).map(([name, { path, server, summary, messages }]) => [
      name,
      {
        address: path,
        summary,
        servers: [{ $ref: `#/servers/${server}` }],
        messages: Object.fromEntries(messages.map((m) => [m, { $ref: `#/components/messages/${m}` }])),
        ...(name === 'socket'
          ? { bindings: { ws: { ...socket, bindingVersion: '0.1.0' } }, 'x-opta-close-codes': closeCodes() }
          : {}),
      },
    ]),
  );
};

// --- operations

const operationsOf = (): Json => {
  const inChannel = (channel: keyof typeof CHANNELS, names: readonly string[]): Json => ({
    channel: { $ref: `#/channels/${channel}` },
    messages: names.map((name) => ({ $ref: `#/channels/${channel}/messages/${name}` })),
  });
  const commands = INBOUND_TYPES.map((type) => {
    const { summary, answers } = FRAME_NOTES[type];
    const reply = answers.length > 0 ? { reply: inChannel('socket', answers) } : {};
    return [commandName(type), { action: 'receive', summary, ...inChannel('socket', [commandName(type)]), ...reply }];
  });
  const stream = (id: OperationId): Json => {
    const query = streamQuery(id);
    return { bindings: { http: { method: 'GET', ...(query ? { query } : {}), bindingVersion: '0.3.0' } } };
  };
  return {
    ...Object.fromEntries(commands),
    'socket.events': {
      action: 'send',
      summary: 'What is stored after the cursor, then what is new',
      ...inChannel('socket', EVENT_NAMES),
    },
    'socket.frames': {
      action: 'send',
      summary: 'Answers, and what is of the moment',
      ...inChannel('socket', FRAME_NAMES),
    },
    'events.stream': {
      action: 'send',
      summary: operation('events.stream').summary,
      ...inChannel('events', CHANNELS.events.messages),
      ...stream('events.stream'),
    },
    ...Object.fromEntries(
      Object.entries(FEEDS).map(([id, channel]) => [
        id,
        {
          action: 'send',
          summary: operation(id as OperationId).summary,
          ...inChannel(channel, CHANNELS[channel].messages),
          ...stream(id as OperationId),
        },
      ]),
    ),
  };
};

/** Streams of the daemon itself, and their channels. */
const FEEDS = { 'health.stream': 'health', 'overview.stream': 'overview', 'inspect.stream': 'inspection' } as const;

const streamQuery = (id: OperationId): Json | undefined => {
  const { properties, required } = new SchemaBook().of(operation(id).query, 'input');
  return properties && Object.keys(properties).length > 0
    ? { type: 'object', properties, ...(required ? { required } : {}) }
    : undefined;
};
