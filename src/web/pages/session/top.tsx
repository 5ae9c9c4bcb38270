import { oneLine } from '../../../client/printable.ts';
import type { PresenceEntry } from '../../../protocol/session.ts';
import { activityOf } from '../../../views/activity.ts';
import { clockText } from '../../../views/ago.ts';
import { useNow } from '../../parts/time.tsx';
import { useDeskPart } from './use-desk.ts';

/** What the session does at this moment, and for how long the turn has run. */
export const ActivityLine = () => {
  const kind = useDeskPart(({ view }) => activityOf(view).kind);
  const text = useDeskPart(({ view }) => activityOf(view).text);
  const since = useDeskPart(({ view }) => activityOf(view).startedAtMs);
  const isLost = useDeskPart(({ view }) => view.connection === 'waiting');
  // What was true when it was lost is not known to be true now.
  if (isLost) {
    return (
      <p class="activity activity-lost">
        <span class="dot" aria-hidden="true" />
        <span class="activity-text">connection lost</span>
      </p>
    );
  }
  return (
    <p class={`activity activity-${kind}`}>
      <span class="dot" aria-hidden="true" />
      <span class="activity-text">{text}</span>
      {since !== null && <Running since={since} />}
    </p>
  );
};

const Running = ({ since }: { since: number }) => (
  <span class="activity-clock">{clockText(useNow(1_000) - since)}</span>
);

const SHOWN_MAX = 4;
const ROLES = { controller: 'takes part', observer: 'watches', automation: 'a program' } as const;

/** Who is attached, each with the letter of a name and a shape for the role. */
export const Present = () => {
  const all = useDeskPart(({ view }) => view.presence);
  if (all.length === 0) return null;
  const names = all.map((one) => `${nameOf(one)} (${ROLES[one.role]})`).join(', ');
  return (
    <p class="present" title={`Here: ${names}`}>
      <span class="unseen">Here: {names}</span>
      {all.slice(0, SHOWN_MAX).map((one) => (
        <Avatar key={one.attachmentId} name={nameOf(one)} role={one.role} />
      ))}
      {all.length > SHOWN_MAX && (
        <span class="avatar avatar-more" aria-hidden="true">
          +{all.length - SHOWN_MAX}
        </span>
      )}
    </p>
  );
};

export const nameOf = ({ writerId, clientId, via }: Pick<PresenceEntry, 'writerId' | 'clientId' | 'via'>): string =>
  oneLine(writerId ?? clientId ?? via, 40);

export const roleText = (role: PresenceEntry['role']): string => ROLES[role];

/** Decoration: the name stands in words beside it or above it. */
export const Avatar = ({ name, role = 'controller' }: { name: string; role?: PresenceEntry['role'] }) => (
  <span class={`avatar avatar-${hueOf(name)} avatar-${role}`} aria-hidden="true">
    {[...name][0]?.toUpperCase() ?? '?'}
  </span>
);

const HUES = 6;
/** The same name has the same colour everywhere. */
const hueOf = (name: string): number =>
  [...name].reduce((sum, sign) => (sum * 31 + (sign.codePointAt(0) ?? 0)) % 9_973, 7) % HUES;
