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

/** The control plane of the daemon at this address, or, when it is gone, of the one that `find` finds. */
export const daemonHttp = (address: DaemonAddress, find = () => Promise.resolve(address)): DaemonHttp =>
  new ControlPlane(nodePlatform(), find, address);
