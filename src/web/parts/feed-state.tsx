import '../styles/live.css';
import type { Feed } from '../use-feed.ts';
import { ErrorBox, Loading } from './states.tsx';
import { Ago } from './time.tsx';

/** What stands above a page that lives from a feed: nothing as long as it comes, else what is wrong. `at`: of when the figures are. */
export const FeedState = ({ feed, at, what }: { feed: Feed; at: string | number | null; what: string }) => {
  if (feed.state === 'open') return at === null ? <Loading what={`Looking at ${what}`} /> : null;
  if (feed.state === 'ended' && feed.error) {
    return <ErrorBox title="Nothing is heard of the daemon any more" error={feed.error} again={feed.again} />;
  }
  if (at === null) return <Loading what={`Looking at ${what}`} />;
  return (
    <p class="stale" role="status">
      <span class="dot" aria-hidden="true" />
      <span>
        Connection lost; it is tried again by itself. What is shown is of <Ago at={at} everyMs={5_000} />.
      </span>
    </p>
  );
};
