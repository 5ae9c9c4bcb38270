import type { ComponentChildren } from 'preact';
import { useMemo, useRef } from 'preact/hooks';
import { type Block, GrowingMarkdown, type Inline, type ListItem, markdown } from '../../views/markdown.ts';
import { CodeBlock } from './code.tsx';
import { memo } from './memo.ts';

/** Blocks of `views/markdown`, each drawn once while it stays the same object. Text goes in as text: no HTML of a model is parsed. */
export const Markdown = ({ blocks }: { blocks: readonly Block[] }) => (
  <div class="prose">
    {blocks.map((block, i) => (
      <One key={i} block={block} />
    ))}
  </div>
);

/** A finished text. */
export const MarkdownText = memo(({ text }: { text: string }) => {
  const blocks = useMemo(() => markdown(text), [text]);
  return <Markdown blocks={blocks} />;
});

/** A text that grows: only its last block is read again. */
export const GrowingText = ({ text }: { text: string }) => {
  const reader = useRef<GrowingMarkdown | null>(null);
  reader.current ??= new GrowingMarkdown();
  return <Markdown blocks={reader.current.read(text)} />;
};

const One = memo(({ block }: { block: Block }) => {
  switch (block.kind) {
    case 'paragraph':
      return <p>{inlines(block.of)}</p>;
    case 'heading':
      return heading(block.level, inlines(block.of));
    case 'code':
      return <CodeBlock text={block.text} lang={block.lang} />;
    case 'quote':
      return <blockquote>{blocks(block.of)}</blockquote>;
    case 'list':
      return block.ordered ? <ol start={block.start}>{block.items.map(item)}</ol> : <ul>{block.items.map(item)}</ul>;
    case 'table':
      return table(block);
    case 'rule':
      return <hr />;
  }
});

const blocks = (of: readonly Block[]): ComponentChildren => of.map((block, i) => <One key={i} block={block} />);

/** Below the page's own headings, which end at the third level; what it was is kept in its looks. */
const heading = (level: number, children: ComponentChildren) => {
  const Tag = `h${Math.min(6, level + 3)}` as 'h4';
  return <Tag class={`heading-${Math.min(level, 4)}`}>{children}</Tag>;
};

const item = ({ checked, of }: ListItem, i: number) => (
  <li key={i} class={checked === null ? undefined : 'task'}>
    {checked !== null && (
      <input type="checkbox" checked={checked} disabled aria-label={checked ? 'done' : 'not done'} />
    )}
    {of.length === 1 && of[0]?.kind === 'paragraph' ? inlines(of[0].of) : blocks(of)}
  </li>
);

const table = ({ head, rows, align }: Extract<Block, { kind: 'table' }>) => {
  const looks = (i: number): string | undefined => (align[i] ? `align-${align[i]}` : undefined);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is to be reached by keyboard
    <div class="table-wrap" tabIndex={0}>
      <table>
        <thead>
          <tr>
            {head.map((cell, i) => (
              <th key={i} scope="col" class={looks(i)}>
                {inlines(cell)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, r) => (
            <tr key={r}>
              {row.map((cell, i) => (
                <td key={i} class={looks(i)}>
                  {inlines(cell)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
};

const inlines = (of: readonly Inline[]): ComponentChildren => of.map(inline);

const inline = (part: Inline, i: number): ComponentChildren => {
  switch (part.kind) {
    case 'text':
      return part.text;
    case 'code':
      return <code key={i}>{part.text}</code>;
    case 'strong':
      return <strong key={i}>{inlines(part.of)}</strong>;
    case 'em':
      return <em key={i}>{inlines(part.of)}</em>;
    case 'del':
      return <del key={i}>{inlines(part.of)}</del>;
    case 'link':
      return part.href === null ? (
        <span key={i}>{inlines(part.of)}</span>
      ) : (
        <a key={i} href={part.href} target="_blank" rel="noopener noreferrer nofollow">
          {inlines(part.of)}
        </a>
      );
    case 'break':
      return <br key={i} />;
  }
};
