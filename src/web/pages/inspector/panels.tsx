import { useState } from 'preact/hooks';
import { oneLine } from '../../../client/printable.ts';
import type { InspectedActor } from '../../../protocol/inspection.ts';
import { clockText } from '../../../views/ago.ts';
import { activePaths, changeWords, factRows, SIGNS, stateWords, toneOf } from '../../../views/chart.ts';
import { Button } from '../../parts/button.tsx';
import { memo } from '../../parts/memo.ts';
import { Panel } from '../../parts/panel.tsx';
import { Empty, ErrorBox } from '../../parts/states.tsx';
import { useNow } from '../../parts/time.tsx';
import { WhyBlock } from '../../parts/why.tsx';
import type { AskedWhy } from '../../use-why.ts';
import type { Change } from './live-actors.ts';

/** What it waits for, since when, until when, and who can end it. */
export const WhyPanel = ({ asked }: { asked: AskedWhy }) => (
  <Panel title="Why it waits">
    {asked.error && asked.why === null && <ErrorBox title="It could not be asked" error={asked.error} />}
    {asked.why === null && asked.error === null && <p class="soft">Asking …</p>}
    {asked.why && (
      <>
        {asked.why.until !== undefined && <Countdown until={asked.why.until} />}
        <WhyBlock why={asked.why} />
      </>
    )}
  </Panel>
);

const Countdown = ({ until }: { until: string }) => {
  const left = Date.parse(until) - useNow(1_000);
  if (!Number.isFinite(left)) return null;
  return <p class="why-left">{left > 0 ? <>{clockText(left)} left</> : 'The time is over'}</p>;
};

/** The active states in words, and the few facts of a context. */
export const FactsPanel = ({ actor, hasEnded }: { actor: InspectedActor; hasEnded: boolean }) => {
  const active = activePaths(actor.state);
  const facts = factRows(actor);
  return (
    <Panel title="Facts">
      <p class="facts-state">
        <span class="sign" aria-hidden="true">
          {SIGNS[toneOf(stateWords(actor.state))]}
        </span>{' '}
        {hasEnded ? 'It has ended. ' : ''}
        {active.length === 0 ? 'An effect: it has no states of its own.' : 'Active:'}
      </p>
      {active.length > 0 && (
        <ul class="facts-active">
          {active.map((path) => (
            <li key={path}>
              <code>{oneLine(path, 120)}</code>
            </li>
          ))}
        </ul>
      )}
      {facts.length > 0 && (
        <dl class="facts">
          {facts.map(([name, text]) => (
            <div key={name}>
              <dt class="label">{wordsOf(name)}</dt>
              <dd>{text}</dd>
            </div>
          ))}
        </dl>
      )}
    </Panel>
  );
};

const SHOWN = 40;

/** The last changes, newest first; held while somebody reads. */
export const ChangesPanel = ({ changes, choose }: { changes: readonly Change[]; choose: (id: string) => void }) => {
  const [held, setHeld] = useState<readonly Change[] | null>(null);
  const [all, setAll] = useState(false);
  const list = held ?? changes;
  const shown = all ? list : list.slice(0, SHOWN);
  return (
    <Panel
      title="Last transitions"
      class="changes"
      actions={
        <Button small kind="quiet" aria-pressed={held !== null} onClick={() => setHeld(held === null ? changes : null)}>
          {held === null
            ? 'Hold'
            : `Go on${(changes[0]?.n ?? 0) > (held[0]?.n ?? 0) ? ` · ${(changes[0]?.n ?? 0) - (held[0]?.n ?? 0)} new` : ''}`}
        </Button>
      }
    >
      {list.length === 0 ? (
        <Empty title="Nothing has changed yet">
          <p>As soon as an actor moves, it stands here.</p>
        </Empty>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys
        // biome-ignore lint/a11y/useSemanticElements: a fieldset is for a form
        <div class="changes-scroll" tabIndex={0} role="group" aria-label="Last transitions">
          <table class="changes-table">
            <caption class="unseen">Last transitions, newest first</caption>
            <thead class="unseen">
              <tr>
                <th scope="col">Time</th>
                <th scope="col">Actor</th>
                <th scope="col">Event</th>
                <th scope="col">From and to</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((change) => (
                <ChangeRow key={change.n} change={change} choose={choose} />
              ))}
            </tbody>
          </table>
          {!all && list.length > SHOWN && (
            <Button small onClick={() => setAll(true)}>
              Show {list.length - SHOWN} earlier
            </Button>
          )}
        </div>
      )}
    </Panel>
  );
};

const ENDS = { done: 'done', error: 'failed', stopped: 'stopped' };

const ChangeRow = memo(({ change, choose }: { change: Change; choose: (id: string) => void }) => {
  return (
    <tr>
      <td class="changes-time">{timeText(change.atMs)}</td>
      <td>
        <button type="button" class="changes-actor" onClick={() => choose(change.id)} title={change.id}>
          {oneLine(change.id.split('/').slice(-2).join('/'), 60)}
        </button>
      </td>
      <td>
        <code>{eventWords(change.event)}</code>
        {change.skipped > 0 && <span class="soft"> +{change.skipped} untold</span>}
      </td>
      <td class="changes-states" title={`${stateWords(change.from)} → ${stateWords(change.to)}`}>
        {change.from === null && change.to === null ? '' : changeWords(change.from, change.to)}
        {change.end && <em class={`end end-${change.end}`}> {ENDS[change.end]}</em>}
      </td>
    </tr>
  );
});

/** `xstate.done.actor.turn` → `done turn`. */
const eventWords = (type: string): string =>
  oneLine(
    type
      .replace(/^xstate\.done\.(actor|state)\./, 'done ')
      .replace(/^xstate\.after\.([^.]+)\..*$/, 'after $1')
      .replace(/^xstate\./, ''),
    60,
  );

const two = (n: number, width = 2): string => String(n).padStart(width, '0');
const timeText = (ms: number): string => {
  const d = new Date(ms);
  if (Number.isNaN(d.getTime())) return '';
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}.${two(d.getMilliseconds(), 3)}`;
};

/** `activeTurnId` → `active turn id`. */
const wordsOf = (name: string): string => name.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase();
