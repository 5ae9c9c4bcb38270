import '../styles/inspector.css';
import { useEffect, useRef, useState } from 'preact/hooks';
import { oneLine } from '../../client/printable.ts';
import type { DrawnCharts } from '../../protocol/chart.ts';
import type { InspectMessage } from '../../protocol/feeds/inspection.ts';
import { actorAt } from '../../views/chart.ts';
import { onNextFrame } from '../frames.ts';
import { Panel } from '../parts/panel.tsx';
import { Empty, ErrorBox, Loading } from '../parts/states.tsx';
import { hashOf } from '../router.ts';
import { useConnection } from '../shell/connection.ts';
import { Page } from '../shell/page.tsx';
import { useFeed } from '../use-feed.ts';
import { ActorTree } from './inspector/actor-tree.tsx';
import { ChartPane } from './inspector/chart-pane.tsx';
import { drawnCharts } from './inspector/charts.ts';
import { LiveActors, type Picture, sessionOf } from './inspector/live-actors.ts';
import { ChangesPanel, FactsPanel, WhyPanel } from './inspector/panels.tsx';
import { RawPanel } from './inspector/raw-panel.tsx';
import { ScrubberPanel } from './inspector/scrubber.tsx';
import { useWhy } from './inspector/use-why.ts';

/** What the actors of the daemon, or of one session, are doing, as they do it. */
export const InspectorPage = ({ sessionId }: { sessionId: string | null }) => {
  const [live] = useState(() => new LiveActors());
  const [picture, setPicture] = useState<Picture>(live.picture);
  const [drawing] = useState(() => onNextFrame(() => setPicture(live.picture)));
  /** How often something of a session changed, so that `why` is asked again then and only then. */
  const moves = useRef(new Map<string, number>());
  const feed = useFeed('inspect.stream', sessionId, (message: InspectMessage) => {
    const moved = live.take(message);
    if (message.type === '@opta.picture') moves.current.clear();
    const of = moved === null ? null : sessionOf(moved);
    if (of !== null) moves.current.set(of, (moves.current.get(of) ?? 0) + 1);
    drawing.ask();
  });
  useConnection(feed.state);
  useEffect(() => () => drawing.cancel(), []);
  const [chosen, setChosen] = useState<string | null>(null);
  const { root } = picture;
  const id = chosen ?? root?.id ?? '';
  const found = root === null ? null : actorAt(root, id);
  const actor = found ?? picture.ended.get(id) ?? root;
  const session = sessionId ?? (actor === null ? null : sessionOf(actor.id));
  const why = useWhy(session, session === null ? 0 : (moves.current.get(session) ?? 0));
  const top = root === null || session === null ? null : actorAt(root, session);
  const headSeq = typeof top?.facts.seq === 'number' ? top.facts.seq : null;
  const title = sessionId === null ? 'Inspector' : `Inspector · ${oneLine(sessionId, 64)}`;
  const isStale = root !== null && feed.state !== 'open';
  return (
    <Page title={title} tab="Inspector" class={`inspector${isStale ? ' is-stale' : ''}`}>
      {feed.state === 'ended' && feed.error && (
        <ErrorBox title="The inspector hears nothing any more" error={feed.error} again={feed.again} />
      )}
      {isStale && feed.state !== 'ended' && (
        <p class="stale" role="status">
          <span class="dot" aria-hidden="true" />
          Connection lost. This is how it was; it is tried again by itself.
        </p>
      )}
      {root === null && feed.state !== 'ended' && <Loading what="Looking at the actors" />}
      {root !== null && actor !== null && (
        <div class="inspect">
          <Panel title={`Actors · ${picture.count}`} class="inspect-tree">
            <ActorTree root={root} chosen={actor.id} choose={setChosen} />
          </Panel>
          <Panel
            title={oneLine(actor.id || 'actors', 100)}
            class="inspect-chart"
            actions={session !== null && <SessionLinks sessionId={session} isWhole={sessionId === null} />}
          >
            <Chart actor={actor} picture={picture} />
          </Panel>
          <div class="inspect-side">
            {session !== null && <WhyPanel asked={why} />}
            <FactsPanel actor={actor} hasEnded={found === null} />
          </div>
          <div class="inspect-below">
            <ChangesPanel changes={picture.changes} choose={setChosen} />
            {session !== null && <ScrubberPanel key={session} sessionId={session} headSeq={headSeq} />}
            <RawPanel live={live} count={picture.messages} sessionId={sessionId} />
          </div>
        </div>
      )}
    </Page>
  );
};

const SessionLinks = ({ sessionId, isWhole }: { sessionId: string; isWhole: boolean }) => (
  <>
    {isWhole ? (
      <a class="inspect-link" href={hashOf({ page: 'inspect', sessionId })}>
        This session alone
      </a>
    ) : (
      <a class="inspect-link" href={hashOf({ page: 'inspect', sessionId: null })}>
        Whole daemon
      </a>
    )}
    <a class="inspect-link" href={hashOf({ page: 'session', sessionId })}>
      Conversation
    </a>
  </>
);

const Chart = ({ actor, picture }: { actor: NonNullable<Picture['root']>; picture: Picture }) => {
  const [charts, setCharts] = useState<DrawnCharts | null>(null);
  const [error, setError] = useState<unknown>(null);
  const fetchCharts = (): void => {
    setError(null);
    drawnCharts().then(setCharts, setError);
  };
  useEffect(fetchCharts, []);
  if (error !== null) return <ErrorBox title="The charts could not be fetched" error={error} again={fetchCharts} />;
  if (charts === null) return <Loading what="Fetching the charts" />;
  const chart = Object.hasOwn(charts, actor.chart) ? charts[actor.chart] : undefined;
  if (!chart)
    return (
      <Empty title="No chart">
        <p>{oneLine(actor.chart, 60)} is an effect: it does one thing and reports what came of it.</p>
      </Empty>
    );
  return <ChartPane key={actor.id} chart={chart} actor={actor} change={picture.last.get(actor.id)} />;
};
