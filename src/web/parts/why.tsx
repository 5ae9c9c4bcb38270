import { oneLine } from '../../client/printable.ts';
import type { OperationOutput } from '../../protocol/operations.ts';
import { Ago } from './time.tsx';

export type Why = OperationOutput<'sessions.why'>;

/** What `opta why` says: what is waited for, since when, until when, and who can end it. */
export const WhyBlock = ({ why }: { why: Why }) => (
  <div class="why">
    <p class="why-text">{oneLine(why.text, 400)}</p>
    <dl class="why-facts">
      <div>
        <dt class="label">State</dt>
        <dd>{oneLine(why.state, 60)}</dd>
      </div>
      <div>
        <dt class="label">Since</dt>
        <dd>
          <Ago at={why.since} everyMs={1_000} />
        </dd>
      </div>
      {why.until !== undefined && (
        <div>
          <dt class="label">Until</dt>
          <dd>
            <Ago at={why.until} everyMs={1_000} />
          </dd>
        </div>
      )}
      {why.unblock !== undefined && (
        <div class="why-wide">
          <dt class="label">Who can unblock it</dt>
          <dd>{oneLine(why.unblock, 300)}</dd>
        </div>
      )}
    </dl>
  </div>
);
