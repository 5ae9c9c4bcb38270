import { useEffect, useRef, useState } from 'preact/hooks';
import { oneLine } from '../../../client/printable.ts';
import { toOptaError } from '../../../protocol/errors.ts';
import { openRequests, type SessionState } from '../../../protocol/session-state.ts';
import { stateHash } from '../../../protocol/state-hash.ts';
import { client, watched } from '../../daemon.ts';
import { Button } from '../../parts/button.tsx';
import { Panel } from '../../parts/panel.tsx';
import { ErrorBox } from '../../parts/states.tsx';
import { LogBook, type Mark, type MarkKind, type Moment, nextMark, READ_ON_EVENTS } from './log-book.ts';

/** Back through the log of a session: its facts at any event beside those at the newest, with the event itself. */
export const ScrubberPanel = ({ sessionId, headSeq }: { sessionId: string; headSeq: number | null }) => {
  const [open, setOpen] = useState(false);
  return (
    <Panel
      title="Scrub through the log"
      class="scrub"
      actions={
        <Button small kind="quiet" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? 'Close the log' : 'Open the log'}
        </Button>
      }
    >
      {open ? (
        <Scrubber sessionId={sessionId} headSeq={headSeq} />
      ) : (
        <p class="soft">Every state of a session is the fold of its events, so any moment of it can be seen again.</p>
      )}
    </Panel>
  );
};

/** The hash is of the whole state: not computed for each step of a drag. */
const HASH_AFTER_MS = 250;
const FOLLOW_AFTER_MS = 1_000;

const Scrubber = ({ sessionId, headSeq }: { sessionId: string; headSeq: number | null }) => {
  const [book] = useState(
    () =>
      new LogBook(sessionId, (afterSeq, limit, signal) =>
        watched(client.call('events.read', { params: { id: sessionId }, query: { afterSeq, limit }, signal })),
      ),
  );
  const [head, setHead] = useState(0);
  const [wanted, setWanted] = useState(0);
  const [there, setThere] = useState<Moment | null>(null);
  const [newest, setNewest] = useState<Moment | null>(null);
  const [reading, setReading] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const life = useRef(new AbortController());
  const readOn = async (follow: boolean): Promise<void> => {
    const { signal } = life.current;
    setReading(true);
    setError(null);
    try {
      await book.readOn(signal);
    } catch (cause) {
      if (!signal.aborted) setError(cause);
    }
    if (signal.aborted) return;
    setReading(false);
    setHead(book.head);
    if (follow) setWanted(book.head);
    setNewest(await book.at(book.head, signal).catch(() => null));
  };
  useEffect(() => {
    life.current = new AbortController();
    void readOn(true);
    return () => life.current.abort();
  }, []);
  useEffect(() => {
    let here = true;
    book.at(wanted, life.current.signal).then(
      (moment) => here && setThere(moment),
      (cause) => here && !life.current.signal.aborted && setError(toOptaError(cause)),
    );
    return () => {
      here = false;
    };
  }, [wanted, head]);
  const more = headSeq === null ? 0 : headSeq - head;
  // What is written while the log is open is read on, a while after the feed has told of it; once for each time that it told.
  const tried = useRef(0);
  const isBehind = more > 0 && book.atEnd && !reading && error === null && (headSeq ?? 0) > tried.current;
  useEffect(() => {
    if (!isBehind) return;
    const timer = setTimeout(() => {
      tried.current = headSeq ?? 0;
      void readOn(wanted === head);
    }, FOLLOW_AFTER_MS);
    return () => clearTimeout(timer);
  }, [isBehind, head, wanted]);
  const go = (seq: number): void => setWanted(Math.min(head, Math.max(0, seq)));
  const goMark = (step: 1 | -1): void => {
    const mark = nextMark(book.marks, wanted, step);
    go(mark?.seq ?? (step === 1 ? head : 0));
  };
  return (
    <div class="scrubber">
      {error !== null && (
        <ErrorBox title="The log could not be read on" error={error} again={() => void readOn(false)} />
      )}
      <div class="scrub-steps">
        <Button small onClick={() => go(0)} disabled={wanted === 0}>
          Start
        </Button>
        <Button
          small
          onClick={() => goMark(-1)}
          disabled={wanted === 0}
          title="The mark before: a turn, a question, an end"
        >
          ◂ Mark
        </Button>
        <Button small onClick={() => go(wanted - 1)} disabled={wanted === 0}>
          −1<span class="unseen"> event</span>
        </Button>
        <output class="scrub-place">
          {wanted} <span class="soft">of {head}</span>
        </output>
        <Button small onClick={() => go(wanted + 1)} disabled={wanted >= head}>
          +1<span class="unseen"> event</span>
        </Button>
        <Button
          small
          onClick={() => goMark(1)}
          disabled={wanted >= head}
          title="The next mark: a turn, a question, an end"
        >
          Mark ▸
        </Button>
        <Button small onClick={() => go(head)} disabled={wanted >= head}>
          Newest
        </Button>
      </div>
      <div class="scrub-line">
        <Marks marks={book.marks} head={head} />
        <input
          type="range"
          min={0}
          max={Math.max(1, head)}
          step={1}
          value={wanted}
          aria-label="Event of the log"
          aria-valuetext={`event ${wanted} of ${head}${there?.record ? `, ${there.record.event}` : ''}`}
          onInput={(event) => go(Number(event.currentTarget.value))}
        />
      </div>
      <p class="scrub-foot soft">
        <span class="mark-key mark-turn">turn begins</span> <span class="mark-key mark-ask">asks</span>{' '}
        <span class="mark-key mark-end">turn ends</span> <span class="mark-key mark-error">fails</span>
        {reading ? (
          <span role="status">Reading …</span>
        ) : (
          !book.atEnd && (
            <Button small onClick={() => void readOn(wanted === head)}>
              Read up to {READ_ON_EVENTS.toLocaleString('en')} more
            </Button>
          )
        )}
      </p>
      {there && newest && <Beside there={there} newest={newest} />}
      {there?.record && (
        <details class="scrub-record">
          <summary>
            <code>{there.record.event}</code>{' '}
            <span class="soft">
              event {there.record.seq}, {there.record.ts}
            </span>
          </summary>
          <pre>{clipped(JSON.stringify(there.record.payload, null, 2))}</pre>
        </details>
      )}
    </div>
  );
};

const RECORD_CHARS_MAX = 20_000;
const clipped = (text: string): string =>
  text.length <= RECORD_CHARS_MAX
    ? text
    : `${text.slice(0, RECORD_CHARS_MAX)}\n… ${text.length - RECORD_CHARS_MAX} more characters`;

const KINDS: readonly MarkKind[] = ['end', 'turn', 'error', 'ask'];

/** Where something begins or ends: one path for each kind, however many there are. */
const Marks = ({ marks, head }: { marks: readonly Mark[]; head: number }) => (
  <svg class="marks" viewBox="0 0 1000 14" preserveAspectRatio="none" aria-hidden="true">
    {KINDS.map((kind) => (
      <path
        key={kind}
        class={`mark-${kind}`}
        d={marks
          .filter((m) => m.kind === kind)
          .map((m) => `M${Math.round((m.seq / Math.max(1, head)) * 10_000) / 10} 1V13`)
          .join('')}
      />
    ))}
  </svg>
);

const rowsOf = (s: SessionState): readonly [name: string, text: string][] => [
  [
    'Turn',
    s.active
      ? `${s.active.turnId} of ${s.active.writerId}, step ${s.active.step}${s.active.cancelling ? ', cancelling' : ''}`
      : 'none',
  ],
  [
    'Queue',
    s.queue.length === 0
      ? 'empty'
      : `${s.queue.length}: ${s.queue
          .slice(0, 5)
          .map((t) => t.writerId)
          .join(', ')}`,
  ],
  [
    'Open asks',
    openRequests(s)
      .map(({ call }) => call.name)
      .join(', ') || 'none',
  ],
  ['Messages', String(s.messages.length)],
  ['Tool calls', String(s.toolCallCount)],
  ['Background', String(s.background.length)],
  ['Model', s.model || 'the default'],
  ['Revision', String(s.revision)],
  ['State', s.deletedAt === undefined ? 'there' : 'deleted'],
];

const Beside = ({ there, newest }: { there: Moment; newest: Moment }) => {
  const now = rowsOf(newest.state);
  const [hashThere, hashNow] = [useHash(there.state), useHash(newest.state)];
  return (
    <div class="table-wrap">
      <table class="beside">
        <caption class="unseen">The session then and now</caption>
        <thead>
          <tr>
            <td />
            <th scope="col">at event {there.seq}</th>
            <th scope="col">newest, event {newest.seq}</th>
          </tr>
        </thead>
        <tbody>
          {rowsOf(there.state).map(([name, text], i) => (
            <tr key={name} class={text === now[i]?.[1] ? '' : 'differs'}>
              <th scope="row">{name}</th>
              <td>{oneLine(text, 160)}</td>
              <td>{oneLine(now[i]?.[1] ?? '', 160)}</td>
            </tr>
          ))}
          <tr class={hashThere === hashNow ? '' : 'differs'}>
            <th scope="row">State hash</th>
            <td>
              <code title={hashThere}>{hashThere.slice(0, 12) || '…'}</code>
            </td>
            <td>
              <code title={hashNow}>{hashNow.slice(0, 12) || '…'}</code>
            </td>
          </tr>
        </tbody>
      </table>
    </div>
  );
};

const useHash = (state: SessionState): string => {
  const [made, setMade] = useState<{ of: SessionState | null; hash: string }>({ of: null, hash: '' });
  useEffect(() => {
    const timer = setTimeout(() => setMade({ of: state, hash: stateHash(state) }), HASH_AFTER_MS);
    return () => clearTimeout(timer);
  }, [state]);
  return made.of === state ? made.hash : '';
};
