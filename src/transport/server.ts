import { LIMITS } from '../actors/limits.ts';
import type { Log } from '../actors/ports.ts';
import type { Runtime } from '../actors/runtime.ts';
import { OptaError } from '../protocol/errors.ts';
import type { Call } from '../protocol/operations.ts';
import type { Timers } from './ask.ts';
import { auth } from './auth.ts';
import { dispatcher } from './dispatch.ts';
import { eventPlane } from './event-plane.ts';
import { transportGauges } from './gauges.ts';
import { type HealthFacts, handlers, type InferenceHost, NO_OPERATIONS, type OperationHost } from './handlers.ts';
import { httpPlane } from './http-plane.ts';
import { innerCall } from './inner-call.ts';
import { Latency } from './latency.ts';
import { LoopDelay } from './loop-delay.ts';
import { access, isLoopbackHost } from './origin.ts';
import type { ResponseStream, Transport, TransportAdapter, TransportBounds } from './port.ts';
import type { SocketAttachment } from './socket-attachment.ts';
import { SseStreams } from './sse.ts';
import { type KeyFile, WebKeys } from './web/access-keys.ts';
import { readWebFiles } from './web/files.ts';

export interface ServerOptions {
  runtime: Runtime;
  adapter: TransportAdapter;
  token: string;
  /** With this one everything can be read and nothing changed ([AC2]). Without it nobody is an observer. */
  observerToken?: string;
  host: string;
  /** `first` 0 asks for any free port. */
  ports: { first: number; fallback: readonly number[] };
  version: string;
  /** Of a new session, when one is configured; `GET /health` names it. */
  model?(): string;
  /** Facts of `/v3/health` that only the composition root knows; asked at each request. */
  facts(): HealthFacts;
  lmx?: InferenceHost;
  /** The named operations, over the daemon's own control plane. */
  operations?: (call: Call) => OperationHost;
  /** Besides loopback's and Tauri's. */
  allowedOrigins: readonly string[];
  /** Names besides `host` under which the daemon is reached. */
  allowedHosts?: readonly string[];
  /** Bind an address that other machines reach. Never the default ([AC1]). */
  allowRemote?: boolean;
  /** Where the build of the page is, or would be. */
  webDir?: string;
  /** Where the keys of pages are kept; without it they end with the daemon. */
  webKeys?: KeyFile;
  log: Log;
  /** Check answers against the operation table; for tests and development. */
  checkAnswers?: boolean;
  bounds?: Partial<TransportBounds>;
}

export interface Server {
  port: number;
  /** Stops listening, lets answers and backlogs out for `LIMITS.drainDeadlineMs` at most, then cuts what is left. Sockets get 1001. */
  close(): Promise<void>;
}

export const DEFAULT_PORTS = { first: 9999, fallback: Array.from({ length: 21 }, (_, i) => 10_000 + i) } as const;

const BOUNDS: TransportBounds = {
  frameBytesMax: LIMITS.frameBytesMax,
  bodiesBytesMax: LIMITS.bodiesBytesMax,
  socketBytesMax: LIMITS.socketBytesMax,
  socketIdleMs: LIMITS.socketIdleMs,
};

const now = (): number => Date.now();

const timers: Timers = {
  setTimeout: (fn, ms) => setTimeout(fn, ms),
  clearTimeout: (id) => clearTimeout(id as NodeJS.Timeout),
};

/** Serves both planes. Throws `no-port` when every port is taken and `forbidden-host` for an address beyond loopback. */
export const startServer = async (options: ServerOptions): Promise<Server> => {
  checkHost(options);
  let port = 0;
  let closing: Promise<void> | null = null;
  const onFault = (where: string, fault: unknown): void =>
    options.log.error('transport fault', { where, fault: fault instanceof Error ? fault.stack : String(fault) });
  const bounds = { ...BOUNDS, ...options.bounds };
  const latency = new Latency();
  const loop = new LoopDelay();
  const streams = new SseStreams(timers);
  const exports = new Set<ResponseStream>();
  const waits = new Set<object>();
  const live = new Set<SocketAttachment>();
  let operations = NO_OPERATIONS;
  const files = readWebFiles(options.webDir ?? null, (name, why) =>
    options.log.warn('a file of the page is not served', { name, why }),
  );
  const keys = new WebKeys({
    file: options.webKeys ?? { read: () => null, write: () => undefined },
    now,
    timers,
    warn: (message, facts) => options.log.warn(message, facts),
  });
  const dispatch = dispatcher({
    latency,
    onFault,
    checkAnswers: options.checkAnswers ?? false,
    handlers: handlers({
      runtime: options.runtime,
      version: options.version,
      transport: { adapter: options.adapter.name, why: options.adapter.why },
      latency,
      facts: options.facts,
      ...(options.lmx ? { lmx: options.lmx } : {}),
      gauges: () => {
        const { toolWorkers: tools, limits = LIMITS } = options.facts();
        return transportGauges({
          usage: transport.usage(),
          bounds,
          streams,
          exports: exports.size,
          waits: waits.size,
          attachments: live,
          tools,
          limits,
          lmxCalls: options.lmx?.admin.open ?? 0,
          operations: operations.open,
          web: keys.held,
        });
      },
      streams,
      exports,
      waits,
      ...(options.model === undefined ? {} : { model: options.model }),
      loop,
      now,
      timers,
      operations: () => operations,
      web: {
        keys,
        address: () => `http://${urlHost(options.host)}:${port}`,
        built: files.built,
        daemonId: options.runtime.daemonId,
      },
      onFault,
    }),
  });
  if (options.operations) operations = options.operations(innerCall(dispatch));
  const shared = {
    runtime: options.runtime,
    dispatch,
    auth: auth(options.token, options.observerToken, keys),
    access: access({
      hosts: [options.host, ...(options.allowedHosts ?? [])],
      origins: options.allowedOrigins,
      port: () => port,
    }),
    closing: () => closing !== null,
    onFault,
    files,
    timers,
  };
  const transport: Transport = options.adapter.create(
    {
      http: httpPlane(shared),
      upgrade: eventPlane({ ...shared, sockets: () => transport.usage().sockets, live, now }),
      onFault,
    },
    bounds,
  );
  port = await bind(transport, options);
  options.log.info('listening', { host: options.host, port, adapter: options.adapter.name, why: options.adapter.why });
  return {
    port,
    close: () => {
      if (closing) return closing;
      // Streams are told why before the transport ends them.
      streams.close();
      loop.close();
      keys.close();
      closing = transport.close(LIMITS.drainDeadlineMs);
      return closing;
    },
  };
};

/** An address that listens for all is none to go to. */
const urlHost = (host: string): string =>
  host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;

const checkHost = ({ host, allowRemote }: ServerOptions): void => {
  if (isLoopbackHost(host.toLowerCase()) || allowRemote) return;
  throw new OptaError('forbidden-host', `Refusing to listen on ${host}: only loopback is served unless allowed`);
};

const bind = async (transport: Transport, { host, ports, log }: ServerOptions): Promise<number> => {
  for (const wanted of [ports.first, ...ports.fallback]) {
    const bound = await transport.listen(host, wanted);
    if (bound !== null) return bound;
    log.warn('port is taken', { host, port: wanted });
  }
  throw new OptaError('no-port', `No free port on ${host}: tried ${[ports.first, ...ports.fallback].join(', ')}`);
};
