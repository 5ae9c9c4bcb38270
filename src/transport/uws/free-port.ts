import { type AddressInfo, createServer } from 'node:net';

/**
 * A port that was free a moment ago, or null. Asked for by its number it is bound with SO_REUSEADDR, which the library leaves out for
 * port 0: without it, whoever restarts on that port would have to wait until the connections of the earlier process are put to rest.
 */
export const freePort = (host: string): Promise<number | null> =>
  new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(null));
    probe.listen({ host, port: 0, exclusive: true }, () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
