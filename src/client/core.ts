/** What both entries of the SDK export. Imports nothing of Node and nothing of a page. */
export { OptaError } from '../protocol/errors.ts';
export type { LogRecord } from '../protocol/events.ts';
export type { InspectMessage } from '../protocol/feeds/inspection.ts';
export type { Overview, OverviewJob, OverviewSession } from '../protocol/feeds/overview.ts';
export type { OperationId } from '../protocol/operations.ts';
export type { SessionState } from '../protocol/session-state.ts';
export { stateHash } from '../protocol/state-hash.ts';
export {
  type DaemonConnectionOptions,
  DaemonHttpClient,
  type DaemonWsConnection,
  type DaemonWsHandlers,
} from './aliases.ts';
export type { AttachOptions, AttachState, Received } from './attach-options.ts';
export type { Attachment } from './attachment.ts';
export { OptaClient } from './client.ts';
export type {
  CallInput,
  CallOutput,
  Cancelled,
  CancelTarget,
  NewSession,
  NewTurn,
  PermissionAnswer,
  Submitted,
} from './control.ts';
export type { RetryOptions } from './faults.ts';
export type { FeedId, FeedMessages, FeedOptions, FeedState } from './feed.ts';
export type { DaemonAddress } from './platform.ts';
export type { DecideOptions, LinkOptions, LinkTurn, SessionLink } from './session-link.ts';
export { SessionView, type View } from './session-view.ts';
export { foldTurn, type Item, itemsOf, type TurnEnd, type TurnView } from './turn-view.ts';
