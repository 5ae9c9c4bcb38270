import { LIMITS } from '../actors/limits.ts';
import type { Clock, Done } from '../actors/ports.ts';
import type { OptaError } from '../protocol/errors.ts';
import { LmxEndpoint, type LmxServer } from './lmx-endpoint.ts';
import type { Discovery } from './lmx-identity.ts';
import { LmxLink } from './lmx-link.ts';

export interface LmxHostStatus {
  host: string;
  port: number;
  selected: boolean;
  /** Milliseconds since 1970, since when it does not answer; null when it does, or was not asked. */
  awaySince: number | null;
  reason: string | null;
}

/** One of the configured servers, with what is known about it. */
export class LmxHost {
  readonly server: LmxServer;
  readonly endpoint: LmxEndpoint;
  awaySince: number | null = null;
  reason: string | null = null;
  failures = 0;
  /** Until then others come first. */
  passedOverUntil = 0;
  #link: LmxLink | null = null;
  readonly #clock: Clock;

  constructor(server: LmxServer, clock: Clock) {
    this.server = server;
    this.endpoint = new LmxEndpoint(server, clock);
    this.#clock = clock;
  }

  /** The shared socket. Throws `loopback-only`. */
  link(path: string, found: Discovery & { kind: 'lmx' }): LmxLink {
    if (!this.#link?.serves(this.server, path)) this.#link = new LmxLink(this.server, path, found.can, this.#clock);
    return this.#link;
  }

  close(): void {
    this.#link?.close();
    this.#link = null;
  }

  succeeded(): void {
    this.failures = 0;
    this.awaySince = null;
    this.reason = null;
  }
}

export interface Chosen {
  host: LmxHost;
  found: Discovery;
}

/**
 * The first host and those that stand in for it, in their order. Which one is used is found out by asking them all at once: the first
 * has a short grace, after which the first other that answers is taken. The choice holds until something fails there.
 */
export class LmxHosts {
  readonly all: readonly LmxHost[];
  readonly #clock: Clock;
  #selected: LmxHost | null = null;

  constructor(servers: readonly LmxServer[], clock: Clock) {
    this.all = servers.map((server) => new LmxHost(server, clock));
    this.#clock = clock;
  }

  get selected(): LmxHost {
    return this.#selected ?? (this.all[0] as LmxHost);
  }

  /** Fails with what the first host's failure was, when none may be used. */
  choose(done: Done<Chosen | null>): void {
    const now = this.#clock.now();
    const held = this.#selected;
    const order = [...this.all].sort((a, b) => Number(a.passedOverUntil > now) - Number(b.passedOverUntil > now));
    const [first, ...others] = held ? [held] : order;
    if (first === undefined) return done(null, null);
    if (others.length === 0) return this.#ask(first, (error, found) => done(error, found && this.#take(first, found)));
    this.#race([first, ...others], done);
  }

  /** A transport failure of this host: what was known of it is forgotten, and twice in a row others come first. */
  failed(host: LmxHost, error: OptaError): void {
    host.endpoint.forget();
    host.failures++;
    host.awaySince ??= this.#clock.now();
    host.reason = error.message;
    if (this.all.length === 1) return;
    if (this.#selected === host) this.#selected = null;
    if (host.failures >= LIMITS.inferenceHostFailuresMax) {
      host.failures = 0;
      host.passedOverUntil = this.#clock.now() + LIMITS.inferenceHostCooldownMs;
    }
  }

  status(): LmxHostStatus[] {
    return this.all.map((h) => ({
      host: h.server.host,
      port: h.server.port,
      selected: h === this.#selected,
      awaySince: h.awaySince,
      reason: h.reason,
    }));
  }

  close(): void {
    for (const host of this.all) host.close();
  }

  #take(host: LmxHost, found: Discovery): Chosen {
    if (this.all.length > 1) this.#selected = host;
    return { host, found };
  }

  #ask(host: LmxHost, done: Done<Discovery | null>): void {
    host.endpoint.identify((error, found) => {
      if (error) {
        host.awaySince ??= this.#clock.now();
        host.reason = error.message;
      }
      done(error, found);
    });
  }

  #race(hosts: readonly LmxHost[], done: Done<Chosen | null>): void {
    const answers = new Map<LmxHost, { error: OptaError | null; found: Discovery | null }>();
    const first = hosts[0] as LmxHost;
    let over = false;
    let grace: unknown = null;
    const settle = (error: OptaError | null, chosen: Chosen | null): void => {
      if (over) return;
      over = true;
      this.#clock.clearTimeout(grace);
      done(error, chosen);
    };
    const best = (): LmxHost | undefined => hosts.find((h) => answers.get(h)?.found);
    const take = (): void => {
      const host = best();
      const found = host && answers.get(host)?.found;
      if (host && found) settle(null, this.#take(host, found));
    };
    const look = (): void => {
      const answer = answers.get(first);
      if (answer?.found || (answer && best())) return take();
      if (best()) grace ??= this.#clock.setTimeout(take, LIMITS.inferenceHostGraceMs);
      if (answers.size === hosts.length) settle(answer?.error ?? null, null);
    };
    for (const host of hosts)
      this.#ask(host, (error, found) => {
        answers.set(host, { error, found: error ? null : found });
        if (!over) look();
      });
  }
}
