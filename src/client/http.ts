import { ControlPlane } from './control.ts';
import { nodePlatform } from './node.ts';
import type { DaemonAddress } from './platform.ts';

export type {
  Health,
  InspectedActor,
  NewSession,
  NewTurn,
  PermissionAnswer,
  SessionPage,
  Snapshot as Session,
} from './control.ts';
export type { DaemonAddress } from './platform.ts';
export type DaemonHttp = ControlPlane;

/** The control plane of the daemon at this address, or of the one that is found each time the last one is gone. */
export const daemonHttp = (address: DaemonAddress | (() => Promise<DaemonAddress>)): DaemonHttp =>
  new ControlPlane(nodePlatform(), typeof address === 'function' ? address : () => Promise.resolve(address));
