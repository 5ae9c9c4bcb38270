import type { Accepted, RequestHead, Response, Socket, SocketEnd, TransportHandlers } from './port.ts';

/** The answer to a request whose handler threw. */
export const PROBLEM: Response = { status: 500, headers: [], body: '' };

/** Asks the plane what to do with an upgrade; a plane that throws refuses it. */
export const decideUpgrade = (handlers: TransportHandlers, head: RequestHead): Response | Accepted => {
  try {
    return handlers.upgrade(head);
  } catch (fault) {
    handlers.onFault('upgrade', fault);
    return PROBLEM;
  }
};

/**
 * Hands an open socket to its plane. The plane may close it before it has said what to do with it; its `closed` is then owed. A
 * plane that throws ends this socket and no other.
 */
export const openSocket = (
  socket: Socket & { end: SocketEnd | null },
  open: (socket: Socket) => SocketEnd,
  onFault: (where: string, fault: unknown) => void,
): void => {
  const early: { closed: [code: number, reason: string] | null } = { closed: null };
  socket.end = {
    message: () => undefined,
    drain: () => undefined,
    closed: (...how) => {
      early.closed = how;
    },
  };
  try {
    const end = open(socket);
    socket.end = end;
    if (early.closed) end.closed(...early.closed);
  } catch (fault) {
    onFault('open', fault);
    socket.close(1011, 'internal');
  }
};
