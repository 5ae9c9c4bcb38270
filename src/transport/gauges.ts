import { LIMITS, type Limits } from '../actors/limits.ts';
import type { Gauge } from '../actors/runtime.ts';
import type { HealthFacts } from './handlers.ts';
import type { TransportBounds, TransportUsage } from './port.ts';
import type { SocketAttachment } from './socket-attachment.ts';
import type { SseStreams } from './sse.ts';
import type { WebKeys } from './web/access-keys.ts';

export interface Carried {
  usage: TransportUsage;
  bounds: TransportBounds;
  streams: SseStreams;
  exports: number;
  /** Requests that wait for their turn to end. */
  waits: number;
  attachments: ReadonlySet<SocketAttachment>;
  tools: HealthFacts['toolWorkers'];
  /** The bounds as this daemon was started with. */
  limits: Limits;
  /** Calls that wait for the inference host's administration. */
  lmxCalls: number;
  /** Named operations that run. */
  operations: number;
  /** Rights of pages. */
  web: WebKeys['held'];
}

/** What the transport and the tools hold now, each beside its bound ([SV3]). Of sockets and streams, the fullest. */
export const transportGauges = ({
  usage,
  bounds,
  streams,
  exports,
  waits,
  attachments,
  tools,
  limits,
  lmxCalls,
  operations,
  web,
}: Carried): Gauge[] => {
  let backlog = streams.bytesMax;
  let commands = 0;
  for (const a of attachments) {
    backlog = Math.max(backlog, a.bufferedBytes());
    commands = Math.max(commands, a.unanswered);
  }
  // A stream is an exchange too, and has had its answer.
  const waiting = Math.max(0, usage.exchanges - streams.size - exports);
  const of = (name: string, limit: keyof typeof LIMITS, value: number, help: string): Gauge => ({
    name,
    value,
    max: limit in bounds ? bounds[limit as keyof TransportBounds] : limits[limit],
    limit,
    help,
  });
  return [
    { name: 'sockets', value: usage.sockets, max: LIMITS.attachmentsMax, help: 'Open event sockets' },
    of('connections', 'connectionsMax', usage.connections, 'Connections of clients'),
    of('streams', 'streamsMax', streams.size, 'Event streams over HTTP'),
    of('exports', 'exportsMax', exports, 'Logs that are being written out'),
    of('chatWaits', 'chatWaitsMax', waits, 'Requests that wait for their turn to end'),
    of('socketCommands', 'socketCommandsMax', commands, 'Commands of one socket that wait for their answer'),
    of('socketBytes', 'socketBytesMax', backlog, 'Bytes that one client has not taken'),
    of('readerBytes', 'readerBytesMax', backlog, 'The same; above this it is fed from the log'),
    of('requestBodiesBytes', 'bodiesBytesMax', usage.bodiesBytes, 'Request bodies being read'),
    of('lmxCalls', 'lmxCallsMax', lmxCalls, 'Calls that wait for the inference host'),
    of('namedOperations', 'namedOperationsMax', operations, 'Named operations that run'),
    of('webKeys', 'webKeysMax', web.keys, 'Keys that pages hold'),
    of('webTickets', 'webTicketsMax', web.tickets, 'Tickets that wait for a page'),
    of('webRefusals', 'webRefusalsMax', web.refusals, 'Tickets refused within a minute'),
    of('toolJobs', 'toolJobsMax', tools.busy, 'Tools that run'),
    of('toolQueue', 'toolQueueMax', tools.queued, 'Tools that wait for a process'),
    { name: 'requestsOpen', value: waiting, help: 'Requests that wait for their answer' },
    { name: 'slowSocketsClosedTotal', value: usage.slowClosed, help: 'Sockets closed because they took too little' },
  ];
};
