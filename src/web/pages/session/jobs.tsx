import { oneLine } from '../../../client/printable.ts';
import { useDeskPart } from './use-desk.ts';

/** Background processes that run. */
export const Jobs = () => {
  const running = useDeskPart(({ view }) => view.state.background);
  const live = running.filter(({ state }) => state === 'running');
  if (live.length === 0) return null;
  return (
    <ul class="jobs" aria-label="Background processes">
      {live.map(({ processId, command, label }) => (
        <li key={processId}>
          <span class="dot" aria-hidden="true" />
          <code>{oneLine(label ?? command, 120)}</code>
        </li>
      ))}
    </ul>
  );
};
