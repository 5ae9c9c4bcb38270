import type { ComponentChildren } from 'preact';
import { useMemo, useRef } from 'preact/hooks';
import { type Block, GrowingMarkdown, type Inline, type ListItem, markdown } from '../../views/markdown.ts';
import { CodeBlock } from './code.tsx';
import { marked } from './marked.tsx';
import { memo } from './memo.ts';

/** Blocks of `views/markdown`, each drawn once while it stays the same object. Text goes in as text: no HTML of a model is parsed. */
export const Markdown = ({ blocks, mark = '' }: { blocks: readonly Block[]; mark?: string }) => (
  <div class="prose">{blocksOf(blocks, mark)}</div>
);

/** A finished text. */
export const MarkdownText = memo(({ text }: { text: string }) => {
  const blocks = useMemo(() => markdown(text), [text]);
  return <Markdown blocks={blocks} />;
});

/** A text that grows: only its last block is read again. */
export const GrowingText = ({ text, mark = '' }: { text: string; mark?: string }) => {
  const reader = useRef<GrowingMarkdown | null>(null);
  reader.current ??= new GrowingMarkdown();
  return <Markdown blocks={reader.current.read(text)} mark={mark} />;
};

const One = memo(({ block, mark }: { block: Block; mark: string }) => {
  switch (block.kind) {
    case 'paragraph':
      return <p>{inlines(block.of, mark)}</p>;
    case 'heading':
      return heading(block.level, inlines(block.of, mark));
    case 'code':
      return <CodeBlock text={block.text} lang={block.lang} mark={mark} />;
    case 'quote':
      return <blockquote>{blocksOf(block.of, mark)}</blockquote>;
    case 'list':
      return block.ordered ? (
        <ol start={block.start}>{block.items.map((one, i) => item(one, i, mark))}</ol>
      ) : (
        <ul>{block.items.map((one, i) => item(one, i, mark))}</ul>
      );
    case 'table':
      return table(block, mark);
    case 'rule':
      return <hr />;
  }
});

const blocksOf = (of: readonly Block[], mark: string): ComponentChildren =>
  of.map((block, i) => <One key={i} block={block} mark={mark} />);

/** Below the page's own headings, which end at the third level; what it was is kept in its looks. */
const heading = (level: number, children: ComponentChildren) => {
  const Tag = `h${Math.min(6, level + 3)}` as 'h4';
  return <Tag class={`heading-${Math.min(level, 4)}`}>{children}</Tag>;
};

const item = ({ checked, of }: ListItem, i: number, mark: string) => (
  <li key={i} class={checked === null ? undefined : 'task'}>
    {checked !== null && (
      <input type="checkbox" checked={checked} disabled aria-label={checked ? 'done' : 'not done'} />
    )}
    {of.length === 1 && of[0]?.kind === 'paragraph' ? inlines(of[0].of, mark) : blocksOf(of, mark)}
  </li>
);

const table = ({ head, rows, align }: Extract<Block, { kind: 'table' }>, mark: string) => {
  const looks = (i: number): string | undefined => (align[i] ? `align-${align[i]}` : undefined);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is to be reached by keyboard
    <div class="table-wrap" tabIndex={0}>
      <table>
        <thead>
          <tr>
            {head.map((cell, i) => (
              <th key={i} scope="col" class={looks(i)}>
                {inlines(cell, mark)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, r) => (
            <tr key={r}>
              {row.map((cell, i) => (
                <td key={i} class={looks(i)}>
                  {inlines(cell, mark)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
};

const inlines = (of: readonly Inline[], mark: string): ComponentChildren => of.map((part, i) => inline(part, i, mark));

const inline = (part: Inline, i: number, mark: string): ComponentChildren => {
  switch (part.kind) {
    case 'text':
      return marked(part.text, mark);
    case 'code':
      return <code key={i}>{marked(part.text, mark)}</code>;
    case 'strong':
      return <strong key={i}>{inlines(part.of, mark)}</strong>;
    case 'em':
      return <em key={i}>{inlines(part.of, mark)}</em>;
    case 'del':
      return <del key={i}>{inlines(part.of, mark)}</del>;
    case 'link':
      return part.href === null ? (
        <span key={i}>{inlines(part.of, mark)}</span>
      ) : (
        <a key={i} href={part.href} target="_blank" rel="noopener noreferrer nofollow">
          {inlines(part.of, mark)}
        </a>
      );
    case 'break':
      return <br key={i} />;
  }
};
