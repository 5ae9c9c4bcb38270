import { oneLine } from '../../../client/printable.ts';
import type { Overview, OverviewSession } from '../../../protocol/feeds/overview.ts';
import { clockText } from '../../../views/ago.ts';
import { Panel } from '../../parts/panel.tsx';
import { Ago, useNow } from '../../parts/time.tsx';
import { hashOf } from '../../router.ts';
import { nameOf } from './samples.ts';

/** What waits for a person, before all else. */
export const AsksPanel = ({ sessions }: { sessions: readonly OverviewSession[] }) => {
  const asks = sessions
    .flatMap((session) => session.asks.map((ask) => ({ session, ask })))
    .sort((a, b) => (a.ask.expiresAt < b.ask.expiresAt ? -1 : 1));
  if (asks.length === 0) return null;
  return (
    <Panel title={asks.length === 1 ? 'Waits for you' : `Wait for you: ${asks.length}`} class="dash-wide asks">
      <ul class="asks-list">
        {asks.map(({ session, ask }) => (
          <li key={ask.requestId} class="ask">
            <span class="sign" aria-hidden="true">
              ▲
            </span>
            <span class="ask-what">
              <strong>{oneLine(ask.toolName, 60)}</strong> <span>{oneLine(ask.summary, 200)}</span>
              <span class="soft">in {oneLine(nameOf(session), 80)}</span>
            </span>
            <Countdown to={ask.expiresAt} />
            <a class="button button-primary" href={hashOf({ page: 'session', sessionId: session.sessionId })}>
              {ask.question ? 'Answer' : 'Decide'}
              <span class="unseen"> about {oneLine(ask.toolName, 60)}</span>
            </a>
          </li>
        ))}
      </ul>
    </Panel>
  );
};

const Countdown = ({ to }: { to: string }) => {
  const left = Date.parse(to) - useNow(1_000);
  return (
    <span class="countdown" title="Without an answer it is denied">
      {left > 0 ? `${clockText(left)} left` : 'expired'}
    </span>
  );
};

/** Sessions that were given up, and how they are taken up again. */
export const QuarantinePanel = ({ quarantined }: { quarantined: Overview['quarantined'] }) => {
  if (quarantined.length === 0) return null;
  return (
    <Panel title="Quarantined" class="dash-wide quarantined">
      <ul class="asks-list">
        {quarantined.map((q) => (
          <li key={q.sessionId} class="ask">
            <span class="sign" aria-hidden="true">
              ✕
            </span>
            <span class="ask-what">
              <strong>{oneLine(q.sessionId, 80)}</strong> <span>{oneLine(q.reason, 300)}</span>
              <span class="soft">
                since <Ago at={q.since} />
              </span>
            </span>
            <a class="button" href={hashOf({ page: 'inspect', sessionId: q.sessionId })}>
              Inspect<span class="unseen"> {oneLine(q.sessionId, 80)}</span>
            </a>
          </li>
        ))}
      </ul>
      <p class="soft">
        It failed again and again and is kept still; its log is untouched, and the other sessions go on. A restart of
        the daemon tries again: <code>opta daemon restart</code>. If it fails once more,{' '}
        <code>opta sessions export ID</code> saves what is in it.
      </p>
    </Panel>
  );
};
