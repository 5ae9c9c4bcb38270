import { oneLine, printable } from '../../../client/printable.ts';
import type { TurnView } from '../../../client/turn-view.ts';
import type { Row } from '../../../views/rows.ts';
import { durationText } from '../../../views/tool-card.ts';
import { Icon } from '../../parts/icon.tsx';
import { GrowingText } from '../../parts/markdown.tsx';
import { marked } from '../../parts/marked.tsx';
import { memo } from '../../parts/memo.ts';
import { Clock } from '../../parts/time.tsx';
import { ToolRow } from './tool-row.tsx';
import { Avatar } from './top.tsx';
import { useTheDesk } from './use-desk.ts';

interface RowProps {
  row: Row;
  /** Whether a person has opened or closed it. */
  fold: boolean | undefined;
  /** What is searched for; '' for nothing. */
  mark: string;
  isCurrent: boolean;
}

/** One row of a conversation; drawn again only when it has changed. */
export const RowView = memo(({ row, fold, mark, isCurrent }: RowProps) => (
  <div class={`row row-${row.kind}${isCurrent ? ' row-current' : ''}`} data-row={row.id}>
    {inside(row, fold ?? (isCurrent && mark !== ''), mark)}
  </div>
));

const inside = (row: Row, isOpen: boolean, mark: string) => {
  switch (row.kind) {
    case 'user':
      return <User row={row} mark={mark} />;
    case 'text':
      return <GrowingText text={printable(row.text)} mark={mark} />;
    case 'thinking':
      return <Thinking row={row} isOpen={isOpen} mark={mark} />;
    case 'system':
      return <p class="system">{marked(printable(row.text), mark)}</p>;
    case 'tool':
      return <ToolRow row={row} isOpen={isOpen} mark={mark} />;
    case 'end':
      return <End turn={row.turn} mark={mark} />;
  }
};

const User = ({ row, mark }: { row: Extract<Row, { kind: 'user' }>; mark: string }) => {
  const who = oneLine(row.writerId || 'user', 40);
  return (
    <article class="said" aria-label={`${who} ${row.steered ? 'adds' : 'asks'}`}>
      <header class="said-head">
        <Avatar name={who} />
        <span class="said-who">{who}</span>
        {row.steered && <span class="hint">added to the running turn</span>}
        {row.at !== '' && (
          <span class="said-at">
            <Clock at={row.at} />
          </span>
        )}
      </header>
      <p class="said-text">{marked(printable(row.text), mark)}</p>
    </article>
  );
};

const Thinking = ({
  row,
  isOpen,
  mark,
}: {
  row: Row & { text: string; open?: boolean };
  isOpen: boolean;
  mark: string;
}) => {
  const desk = useTheDesk();
  return (
    <div class="thinking">
      <button type="button" class="fold" aria-expanded={isOpen} onClick={() => desk.toggle(row.id, isOpen)}>
        <Icon name={isOpen ? 'down' : 'right'} />
        <span class="thinking-name">{row.open ? 'Thinking …' : 'Thought'}</span>
        {!isOpen && <span class="hint">{oneLine(row.text.slice(-400), 400).slice(-90)}</span>}
      </button>
      {isOpen && (
        <div class="thinking-text">
          <GrowingText text={printable(row.text)} mark={mark} />
        </div>
      )}
    </div>
  );
};

const WORDS = { error: 'Failed', cancelled: 'Cancelled', interrupted: 'Interrupted' } as const;

const SPEED_FROM = 20;

const End = ({ turn, mark }: { turn: TurnView; mark: string }) => {
  const { end, model } = turn;
  if (!end) return null;
  const { stats } = end;
  const facts = [
    stats && durationText(stats.elapsedMs),
    stats && stats.tokens > 0 && `${stats.tokens.toLocaleString()} ${stats.tokens === 1 ? 'token' : 'tokens'}`,
    // Of a few tokens a speed says nothing.
    stats && stats.tokens >= SPEED_FROM && stats.speed > 0 && `${Math.round(stats.speed)} tokens/s`,
    model && oneLine(model, 60),
    end.outcome === 'done' && end.cut && 'cut at its greatest length',
  ].filter(Boolean);
  return (
    <div class={`end end-${end.outcome}`}>
      {end.outcome !== 'done' && (
        <p class="end-why">
          <strong>{WORDS[end.outcome]}</strong>
          {end.code !== end.outcome && (
            <>
              {' '}
              {marked(oneLine(end.message, 600), mark)} <code>{end.code}</code>
            </>
          )}
        </p>
      )}
      {facts.length > 0 && <p class="end-facts">{facts.join(' · ')}</p>}
    </div>
  );
};
