/** Texts in the page's source go through the translation: none is left as a literal where a reader would see it. */
import ts from 'typescript';
import { expect, test } from 'vitest';

const VIEWS = 'labextension/src/widget';
/** Attributes that are read, or read out. */
const READ = new Set([
  'alt',
  'aria-description',
  'aria-label',
  'aria-roledescription',
  'aria-valuetext',
  'hint',
  'label',
  'placeholder',
  'title'
]);
/** What is the same in every language: names, and code, such as a path. */
const NAMED = /^(MLflow|tunelab|[\w./:%-]*[./:%]\w+)$/;

/** The texts of a view that are no argument of `trans.__` or `trans._n`, each with its line. */
function untranslated(name: string, source: string): readonly string[] {
  const file = ts.createSourceFile(name, source, ts.ScriptTarget.Latest, true, ts.ScriptKind.TSX);
  const found: string[] = [];
  const tell = (node: ts.Node, text: string) => {
    const said = text.replace(/&\w+;/g, ' ').trim();
    if (/\p{L}/u.test(said) && !NAMED.test(said)) {
      found.push(`${name}:${file.getLineAndCharacterOfPosition(node.getStart()).line + 1} ${said}`);
    }
  };
  /** What an expression shows where it is drawn; what is within a call is the call's matter. */
  const shown = (node: ts.Node | undefined): void => {
    if (!node) {
      return;
    }
    if (ts.isStringLiteralLike(node)) {
      tell(node, node.text);
    } else if (ts.isTemplateExpression(node)) {
      [node.head, ...node.templateSpans.map(span => span.literal)].forEach(part => {
        tell(part, part.text);
      });
      node.templateSpans.forEach(span => {
        shown(span.expression);
      });
    } else if (ts.isConditionalExpression(node)) {
      shown(node.whenTrue);
      shown(node.whenFalse);
    } else if (ts.isBinaryExpression(node) && SHOWING.has(node.operatorToken.kind)) {
      shown(node.left);
      shown(node.right);
    } else if (ts.isParenthesizedExpression(node) || ts.isJsxExpression(node)) {
      shown(node.expression);
    }
  };
  const visit = (node: ts.Node): void => {
    if (ts.isJsxElement(node) && node.openingElement.tagName.getText() === 'code') {
      return;
    }
    if (ts.isJsxText(node)) {
      tell(node, node.text);
    } else if (ts.isJsxExpression(node) && !ts.isJsxAttribute(node.parent)) {
      shown(node);
    } else if (ts.isJsxAttribute(node) && READ.has(node.name.getText())) {
      shown(node.initializer);
    }
    node.forEachChild(visit);
  };
  visit(file);
  return found;
}

/** The operators of which both sides may come to be shown. */
const SHOWING: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.AmpersandAmpersandToken,
  ts.SyntaxKind.BarBarToken,
  ts.SyntaxKind.PlusToken,
  ts.SyntaxKind.QuestionQuestionToken
]);

test.each<[source: string, found: readonly string[]]>([
  ['<p>All jobs</p>', ['All jobs']],
  ['<p>{n} · {m}</p>', []],
  ["<p>{trans.__('All jobs')}</p>", []],
  ["<p>{isOpen ? 'Close' : trans.__('Open')}</p>", ['Close']],
  ['<p>{said || (n > 0 && `${n} rows`)}</p>', ['rows']],
  ["<p title={trans._n('%1 row', '%1 rows', n)} className=\"a b\" />", []],
  ['<p aria-label="Rows" />', ['Rows']],
  ["<p placeholder={'Filter ' + name} />", ['Filter']],
  ['<p title="data/rows.jsonl">In <code>reward function</code></p>', ['In']],
  ["<p title={kind === 'sft' ? shown('here') : ''}>MLflow</p>", []]
])('%s shows %j without a translation', (source, found) => {
  expect(untranslated('a.tsx', source)).toEqual(found.map(text => `a.tsx:1 ${text}`));
});

const views = ts.sys.readDirectory(VIEWS, ['.tsx'], undefined, undefined, 1);
const named = views.map(path => path.split('/').pop() ?? path);

test.each(named)('%s shows no text without a translation', name => {
  expect(untranslated(name, ts.sys.readFile(`${VIEWS}/${name}`) ?? '')).toEqual([]);
});
