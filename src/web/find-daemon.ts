/** Where a daemon listens: the port that it prefers, and those that it takes when that one is held. */
const PORTS: readonly number[] = [9999, ...Array.from({ length: 21 }, (_, i) => 10_000 + i)];
const DEADLINE_MS = 1_500;
const AT_ONCE = 6;

/** `127.0.0.1`, `::1`, `localhost`: this machine, whose traffic nobody else can read. */
export const isLoopback = (host: string): boolean => /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i.test(host.trim());

export const originOf = ({ host, port }: { host: string; port: number }): string =>
  `http://${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`;

/** The ports of `host` at which a daemon answers. Only on a person's wish: a page that tries ports unasked looks like an attack. */
export const findDaemons = async (host: string, ports: readonly number[] = PORTS): Promise<number[]> => {
  const left = [...ports];
  const found: number[] = [];
  const take = async (): Promise<void> => {
    for (let port = left.shift(); port !== undefined; port = left.shift()) {
      if (await answers(host, port)) found.push(port);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, take));
  return found.sort((a, b) => a - b);
};

/** The open health of a daemon: no right is needed for it, and none is shown. */
const answers = async (host: string, port: number): Promise<boolean> => {
  try {
    const answer = await fetch(`${originOf({ host, port })}/health`, {
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    const health = (await answer.json()) as { status?: unknown } | null;
    return answer.ok && typeof health?.status === 'string';
  } catch {
    return false;
  }
};
