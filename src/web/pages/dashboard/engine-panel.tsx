import { oneLine } from '../../../client/printable.ts';
import type { Overview } from '../../../protocol/feeds/overview.ts';
import { Badge } from '../../parts/badge.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Ago } from '../../parts/time.tsx';

/** What answers the turns, and which models it has. */
export const EnginePanel = ({ overview }: { overview: Overview }) => {
  const { lmx, models } = overview;
  const engine = (overview.engine ?? {}) as { engine?: unknown; model?: unknown };
  const name = typeof engine.engine === 'string' ? oneLine(engine.engine, 40) : 'engine';
  return (
    <Panel title="Inference" class="engine">
      <div class="daemon-head">
        {lmx === null ? (
          <Badge tone="info" dot>
            {name}
          </Badge>
        ) : lmx.away === null ? (
          <Badge tone="good" dot>
            answers
          </Badge>
        ) : (
          <Badge tone="bad" dot>
            away
          </Badge>
        )}
        {lmx === null ? (
          <span class="soft">built in, needs no host</span>
        ) : (
          <code class="host">
            {oneLine(lmx.host, 80)}:{lmx.port}
          </code>
        )}
      </div>
      {lmx?.away && (
        <p class="says">
          Nothing was heard of it since <Ago at={lmx.away.since} />: {oneLine(lmx.away.reason, 200)}. Turns wait for it
          until their deadline; <code>opta doctor</code> looks for the cause.
        </p>
      )}
      {lmx?.problem && !lmx.away && (
        <p class="says">
          It did not name its models: {oneLine(lmx.problem.message, 200)} <code>{oneLine(lmx.problem.code, 60)}</code>
        </p>
      )}
      <Models models={models} isKnown={lmx === null || lmx.askedAt !== null} />
      {lmx?.askedAt && (
        <p class="soft">
          asked <Ago at={lmx.askedAt} />
        </p>
      )}
    </Panel>
  );
};

const SHOWN_MAX = 12;

const Models = ({ models, isKnown }: { models: Overview['models']; isKnown: boolean }) => {
  if (models.length === 0)
    return <p class="soft">{isKnown ? 'No model is named.' : 'Its models are not known yet.'}</p>;
  const sorted = [...models].sort((a, b) => Number(b.loaded) - Number(a.loaded));
  const more = sorted.length - SHOWN_MAX;
  return (
    <div class="table-scroll">
      <table class="table">
        <caption class="unseen">Models</caption>
        <thead>
          <tr>
            <th scope="col">Model</th>
            <th scope="col">State</th>
          </tr>
        </thead>
        <tbody>
          {sorted.slice(0, SHOWN_MAX).map((m) => (
            <tr key={m.id}>
              <th scope="row">{oneLine(m.id, 120)}</th>
              <td>
                <Badge tone={m.loaded ? 'good' : 'plain'}>
                  {m.loaded ? '●' : '○'} {oneLine(m.status, 40) || (m.loaded ? 'loaded' : 'known')}
                </Badge>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {more > 0 && <p class="soft">and {more} more: opta models</p>}
    </div>
  );
};
