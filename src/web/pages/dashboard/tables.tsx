import { oneLine } from '../../../client/printable.ts';
import type { Overview } from '../../../protocol/feeds/overview.ts';
import { Panel } from '../../parts/panel.tsx';
import { Ago } from '../../parts/time.tsx';
import { hashOf } from '../../router.ts';
import { fullLevels, type Level } from './samples.ts';
import { StateBadge } from './sessions.tsx';

export const JobsPanel = ({ overview: { jobs, jobCount } }: { overview: Overview }) => (
  <Panel title={jobCount > 0 ? `Background jobs · ${jobCount}` : 'Background jobs'} class="jobs">
    {jobs.length === 0 ? (
      <p class="soft">No command runs in the background.</p>
    ) : (
      <div class="table-scroll">
        <table class="table">
          <caption class="unseen">Background jobs</caption>
          <thead>
            <tr>
              <th scope="col">Command</th>
              <th scope="col">State</th>
              <th scope="col">Began</th>
            </tr>
          </thead>
          <tbody>
            {jobs.map((job) => (
              <tr key={`${job.sessionId} ${job.processId}`}>
                <th scope="row">
                  <code>{oneLine(job.command, 120)}</code>
                  <br />
                  <a class="soft" href={hashOf({ page: 'session', sessionId: job.sessionId })}>
                    {oneLine(job.sessionId, 64)}
                  </a>
                </th>
                <td>
                  <StateBadge state={job.state} />
                </td>
                <td class="nowrap soft">
                  <Ago at={job.startedAt} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
        {jobCount > jobs.length && <p class="soft">and {jobCount - jobs.length} more</p>}
      </div>
    )}
  </Panel>
);

export const LimitsPanel = ({ overview: { limits } }: { overview: Overview }) => {
  const full = fullLevels(limits);
  const bounded = limits.filter((gauge) => gauge.max !== undefined).length;
  return (
    <Panel title="Limits over 60 %" class="limits">
      {full.length === 0 ? (
        <p class="soft">All {bounded} bounds of the daemon are below 60 %.</p>
      ) : (
        <div class="table-scroll">
          <table class="table">
            <caption class="unseen">Limits that are over 60 % full</caption>
            <thead>
              <tr>
                <th scope="col">What</th>
                <th scope="col">Full</th>
              </tr>
            </thead>
            <tbody>
              {full.map((level) => (
                <LimitRow key={level.gauge.name} level={level} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
};

const LimitRow = ({ level: { gauge, part, isCache } }: { level: Level }) => {
  const percent = Math.round(part * 100);
  const tone = isCache ? 'plain' : part >= 0.9 ? 'bad' : 'warn';
  return (
    <tr>
      <th scope="row">
        {oneLine(gauge.help, 120)}
        <br />
        <code class="soft">{oneLine(gauge.limit ?? gauge.name, 60)}</code>
      </th>
      <td>
        <svg class={`bar bar-${tone}`} viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
          <rect class="bar-all" width="100" height="6" />
          <rect class="bar-part" width={percent} height="6" />
        </svg>{' '}
        {percent} %
        <br />
        <span class="soft">
          {gauge.value.toLocaleString('en')} of {(gauge.max ?? 0).toLocaleString('en')}
          {isCache && ', kept on purpose'}
        </span>
      </td>
    </tr>
  );
};
