import { useMemo } from 'preact/hooks';
import { diffLines } from '../../views/diff.ts';
import { memo } from './memo.ts';

const SIGNS = { added: '+', removed: '−', same: ' ', place: '', file: '' } as const;

/** A change line by line: its sign says what its colour says. */
export const Diff = memo(({ text }: { text: string }) => {
  const lines = useMemo(() => diffLines(text), [text]);
  return (
    <div class="code diff">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is to be reached by keyboard */}
      <pre tabIndex={0}>
        {lines.map(({ kind, text: line }, i) => (
          <span key={i} class={`diff-line diff-${kind}`}>
            <span class="diff-sign">{SIGNS[kind]}</span>
            {line}
            {'\n'}
          </span>
        ))}
      </pre>
    </div>
  );
});
