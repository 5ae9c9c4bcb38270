import { randomBytes } from 'node:crypto';
import type { Client } from '@modelcontextprotocol/client';
import { LIMITS } from '../actors/limits.ts';
import type { Clock, Log, ToolResult } from '../actors/ports.ts';
import type { McpServer } from '../config/schema.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import { failure } from '../tools/outcome.ts';
import { closed, placeOf, reasonOf, stdioOf } from './connection.ts';
import { guardedFetch } from './loopback-fetch.ts';
import { resultOf } from './mcp-result.ts';

/** A tool as its server describes it. What it says of itself is for the model; it decides nothing. */
export interface ServedTool {
  name: string;
  description: string;
  parameters: object;
}

export interface ServiceWorld {
  clock: Clock;
  log: Log;
  version: string;
  loopbackOnly: boolean;
}

type State =
  | { kind: 'off' }
  | { kind: 'opening'; done: Promise<void> }
  | { kind: 'ready'; client: Client; close(): Promise<void>; tools: ServedTool[] }
  /** Tried again when somebody needs it, from then on. */
  | { kind: 'failed'; reason: string; againAt: number };

/**
 * One server of tools for one workspace, shared by all its turns ([MC4]). It is started when it is first needed, started anew after it
 * ended, with growing pauses, and ended when nobody has needed it for a while. A call is made once: whether one that broke off took
 * effect is not known, and said ([MC5]).
 */
export class McpService {
  readonly name: string;
  readonly #server: McpServer;
  readonly #cwd: string;
  readonly #world: ServiceWorld;
  #state: State = { kind: 'off' };
  #failures = 0;
  #calls = 0;
  #idle: unknown = null;
  #closed = false;

  constructor(name: string, server: McpServer, cwd: string, world: ServiceWorld) {
    this.name = name;
    this.#server = server;
    this.#cwd = cwd;
    this.#world = world;
  }

  get tools(): readonly ServedTool[] {
    return this.#state.kind === 'ready' ? this.#state.tools : [];
  }

  /** Why there are none; null while there are, or while nobody knows yet. */
  get trouble(): string | null {
    return this.#state.kind === 'failed' ? this.#state.reason : null;
  }

  /** Resolves when it is ready, or is known not to be. Never rejects. */
  open(): Promise<void> {
    this.#touch();
    const state = this.#state;
    if (state.kind === 'opening') return state.done;
    if (state.kind === 'ready' || this.#closed) return Promise.resolve();
    if (state.kind === 'failed' && this.#world.clock.now() < state.againAt) return Promise.resolve();
    const done = this.#start().catch((cause: unknown) => this.#failed(toOptaError(cause).message));
    this.#state = { kind: 'opening', done };
    return done;
  }

  /** Never rejects. When `signal` aborts the server is told, and nobody waits for it any longer. */
  async call(
    tool: string,
    args: { [name: string]: unknown },
    signal: AbortSignal,
    deadlineMs: number,
  ): Promise<ToolResult> {
    await this.open();
    const state = this.#state;
    if (state.kind !== 'ready')
      return failure(new OptaError('mcp-failed', `${this.name}: ${this.trouble ?? 'it is not there'}`));
    this.#calls++;
    try {
      const said = await state.client.callTool({ name: tool, arguments: args }, { signal, timeout: deadlineMs });
      return resultOf(said);
    } catch (cause) {
      const reason = reasonOf(cause);
      const isLost = this.#state !== state;
      const doubt = isLost || signal.aborted ? '; whether the call took effect is not known' : '';
      return failure(new OptaError('mcp-failed', `${this.name}: ${reason}${doubt}`));
    } finally {
      this.#calls--;
      this.#touch();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#world.clock.clearTimeout(this.#idle);
    const state = this.#state;
    if (state.kind === 'opening') await state.done;
    await this.#stop();
  }

  async #stop(): Promise<void> {
    const state = this.#state;
    this.#state = { kind: 'off' };
    if (state.kind === 'ready') await state.close();
  }

  #touch(): void {
    this.#world.clock.clearTimeout(this.#idle);
    if (this.#closed) return;
    this.#idle = this.#world.clock.setTimeout(() => {
      if (this.#calls === 0) void this.#stop();
    }, LIMITS.servicesIdleMs);
  }

  #failed(reason: string): void {
    if (this.#closed) return;
    this.#failures++;
    const pauseMs = Math.min(LIMITS.servicesPauseMaxMs, 500 * 2 ** this.#failures);
    this.#state = { kind: 'failed', reason, againAt: this.#world.clock.now() + pauseMs };
    this.#world.log.warn('a server of tools is not there', { server: this.name, reason });
  }

  async #start(): Promise<void> {
    const sdk = await import('@modelcontextprotocol/client');
    const server = this.#server;
    const isHttp = 'url' in server;
    const place = isHttp ? placeOf(server) : null;
    const mark = `OPTA_BACKGROUND=mcp_${randomBytes(9).toString('base64url')}`;
    const transport = isHttp
      ? new sdk.StreamableHTTPClientTransport(new URL(place?.url ?? server.url), {
          fetch: guardedFetch(this.#world.loopbackOnly, () => undefined),
          requestInit: { headers: place?.headers ?? {} },
        })
      : await stdioOf(sdk, server, { env: process.env, cwd: this.#cwd, mark });
    const client = new sdk.Client(
      { name: 'opta', version: this.#world.version },
      { versionNegotiation: { mode: isHttp ? 'auto' : 'legacy' } },
    );
    const close = (): Promise<void> => closed(client, transport);
    try {
      const timeout = LIMITS.servicesStartMs;
      await client.connect(transport, { timeout });
      const listed =
        client.getServerCapabilities()?.tools === undefined
          ? []
          : (await client.listTools(undefined, { timeout })).tools;
      const tools = listed.slice(0, LIMITS.serviceToolsMax).map(
        ({ name, description = '', inputSchema }): ServedTool => ({
          name,
          description: description.slice(0, LIMITS.serviceTextCharsMax),
          parameters: fitting(inputSchema),
        }),
      );
      if (this.#closed) return await close();
      this.#failures = 0;
      const ready: State = { kind: 'ready', client, close, tools };
      this.#state = ready;
      client.onclose = () => {
        if (this.#state !== ready) return;
        this.#failed('the server has ended');
        void close();
      };
    } catch (cause) {
      await close();
      throw new OptaError('mcp-failed', reasonOf(cause));
    }
  }
}

/** A schema that is too long says nothing but that it takes an object. */
const fitting = (schema: object): object =>
  JSON.stringify(schema).length <= LIMITS.serviceSchemaCharsMax ? schema : { type: 'object' };
