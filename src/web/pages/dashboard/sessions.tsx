import { oneLine } from '../../../client/printable.ts';
import type { Overview, OverviewSession } from '../../../protocol/feeds/overview.ts';
import { clockText } from '../../../views/ago.ts';
import { SIGNS, type Tone, toneOf } from '../../../views/chart.ts';
import { Badge, type Tone as BadgeTone } from '../../parts/badge.tsx';
import { Button } from '../../parts/button.tsx';
import { Icon } from '../../parts/icon.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Ago, useNow } from '../../parts/time.tsx';
import { hashOf } from '../../router.ts';
import { shell } from '../../shell/actions.ts';
import { nameOf } from './samples.ts';

const BADGES: { [T in Tone]: BadgeTone } = { rest: 'plain', work: 'good', asks: 'warn', ending: 'info', bad: 'bad' };

/** Sessions at work as cards; those at rest as a table. */
export const SessionsPanel = ({ overview }: { overview: Overview }) => {
  const { sessions } = overview;
  const isBusy = (s: OverviewSession): boolean =>
    s.active !== null || s.queuedCount > 0 || s.asks.length > 0 || s.presenceCount > 0 || toneOf(s.state) !== 'rest';
  const busy = sessions.filter(isBusy);
  const resting = sessions.filter((s) => !isBusy(s));
  return (
    <Panel
      title="Sessions"
      class="dash-wide sessions"
      actions={
        <Button small icon="plus" onClick={() => shell.trigger.opened({ what: 'new-session' })}>
          New session
        </Button>
      }
    >
      {busy.length === 0 && <p class="soft">None is at work, and nobody is attached.</p>}
      <ul class="cards">
        {busy.map((s) => (
          <Card key={s.sessionId} session={s} />
        ))}
      </ul>
      {resting.length > 0 && <Resting sessions={resting} />}
    </Panel>
  );
};

export const StateBadge = ({ state, live = false }: { state: string; live?: boolean }) => {
  const tone = toneOf(state);
  return (
    <Badge tone={BADGES[tone]} live={live}>
      <span class="sign" aria-hidden="true">
        {SIGNS[tone]}
      </span>
      {oneLine(state, 40).replaceAll('-', ' ')}
    </Badge>
  );
};

const Card = ({ session: s }: { session: OverviewSession }) => (
  <li class={`card card-${toneOf(s.state)}`}>
    <div class="card-head">
      <h3 class="card-title">
        <a href={hashOf({ page: 'session', sessionId: s.sessionId })}>{oneLine(nameOf(s), 120)}</a>
      </h3>
      <a
        class="button button-quiet button-icon button-small"
        href={hashOf({ page: 'inspect', sessionId: s.sessionId })}
        aria-label={`Inspect ${oneLine(nameOf(s), 80)}`}
        title="Inspect"
      >
        <Icon name="tree" />
      </a>
    </div>
    <p class="card-line">
      <StateBadge state={s.state} />
      <span class="soft">{oneLine(s.model, 60) || 'default model'}</span>
    </p>
    {s.active && (
      <p class="card-line">
        <span>
          turn of <strong>{oneLine(s.active.writerId, 60)}</strong>
        </span>
        <Elapsed since={s.active.startedAt} />
        {s.active.toolCalls > 0 && <span class="soft">{s.active.toolCalls} tool calls</span>}
      </p>
    )}
    {s.asks.length > 0 && (
      <p class="card-line">
        <a class="card-ask" href={hashOf({ page: 'session', sessionId: s.sessionId })}>
          ▲ {askWords(s.asks)}
        </a>
      </p>
    )}
    {s.queuedCount > 0 && (
      <ol class="queue" aria-label={`${s.queuedCount} queued`}>
        {s.queued.slice(0, 3).map((q) => (
          <li key={q.turnId}>
            <strong>{oneLine(q.writerId, 40)}</strong> <span class="soft">{oneLine(q.content, 90)}</span>
          </li>
        ))}
        {s.queuedCount > 3 && <li class="soft">and {s.queuedCount - Math.min(3, s.queued.length)} more</li>}
      </ol>
    )}
    {s.presenceCount > 0 && (
      <p class="card-line soft">
        <span class="sign" aria-hidden="true">
          ◉
        </span>
        {whoOf(s)}
      </p>
    )}
  </li>
);

const askWords = (asks: OverviewSession['asks']): string => {
  const [first] = asks;
  if (asks.length !== 1 || !first) return `${asks.length} decisions`;
  return first.question ? 'answer a question' : `decide: ${oneLine(first.toolName, 60)}`;
};

const whoOf = ({ presence, presenceCount }: OverviewSession): string => {
  const names = [...new Set(presence.map((p) => oneLine(p.writerId ?? p.clientId ?? p.role, 40)))];
  const shown = names.slice(0, 4);
  const rest =
    presenceCount - presence.filter((p) => shown.includes(oneLine(p.writerId ?? p.clientId ?? p.role, 40))).length;
  return `${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''} attached`;
};

const Elapsed = ({ since }: { since: string }) => {
  const now = useNow(1_000);
  const ms = now - Date.parse(since);
  return Number.isFinite(ms) ? <span class="elapsed">{clockText(ms)}</span> : null;
};

const RESTING_MAX = 20;

const Resting = ({ sessions }: { sessions: readonly OverviewSession[] }) => (
  <div class="table-scroll">
    <table class="table resting">
      <caption class="unseen">Sessions at rest</caption>
      <thead>
        <tr>
          <th scope="col">At rest</th>
          <th scope="col">State</th>
          <th scope="col" class="wide-only">
            Model
          </th>
          <th scope="col">Changed</th>
          <th scope="col">
            <span class="unseen">Inspector</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {sessions.slice(0, RESTING_MAX).map((s) => (
          <tr key={s.sessionId}>
            <th scope="row">
              <a href={hashOf({ page: 'session', sessionId: s.sessionId })}>{oneLine(nameOf(s), 120)}</a>
            </th>
            <td class="nowrap">{s.live ? <StateBadge state={s.state} /> : <span class="soft">asleep</span>}</td>
            <td class="wide-only soft">{oneLine(s.model, 60)}</td>
            <td class="nowrap soft">
              <Ago at={s.updatedAt} />
            </td>
            <td>
              <a
                class="button button-quiet button-icon button-small"
                href={hashOf({ page: 'inspect', sessionId: s.sessionId })}
                aria-label={`Inspect ${oneLine(nameOf(s), 80)}`}
                title="Inspect"
              >
                <Icon name="tree" />
              </a>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
    {sessions.length > RESTING_MAX && (
      <p class="soft">
        and {sessions.length - RESTING_MAX} more: <kbd>Ctrl</kbd> <kbd>K</kbd> finds them by name
      </p>
    )}
  </div>
);
