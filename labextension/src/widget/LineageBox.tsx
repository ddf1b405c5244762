/** One box of a lineage: a button with the thing's name, and what it is and was used for. */
import { capitalise, plainText } from './format';
import { trans } from './i18n';
import type { LineageNode } from './lineage';

/** A job's id: the name, when, and four digits; a box has room for its ends. */
const JOB_ID = /^(.+)-\d{8}-\d{6}-([0-9a-f]{4})$/;

/** The folders above a local model's: its own name is at the end. */
const FOLDERS = /^(?:\/|[A-Za-z]:\\).*[/\\](?=[^/\\]+$)/;

interface BoxProps {
  readonly node: LineageNode;
  /** What it is, and what it was used for. */
  readonly subject: readonly string[];
  readonly isCentre: boolean;
  readonly isChosen: boolean;
  readonly onChoose: (node: LineageNode) => void;
}

/** The box; its place and size are the picture's. */
export function LineageBox({ node, subject, isCentre, isChosen, onChoose }: BoxProps) {
  const label = plainText(node.label);
  const [kind = '', ...used] = subject;
  const told = [...used, ...(isCentre ? [trans.__('this one')] : [])];
  return (
    <button
      type="button"
      className="tunelab-lineage-box nodrag nopan"
      data-kind={node.kind}
      data-centre={isCentre}
      data-state={node.state}
      aria-pressed={isChosen}
      aria-current={isCentre}
      aria-label={[`${capitalise(kind)} ${label}`, ...told].join(', ')}
      title={[label, subject.join(' · ')].join('\n')}
      onClick={() => {
        onChoose(node);
      }}
    >
      <b>{label.replace(JOB_ID, '$1 … $2').replace(FOLDERS, '…/')}</b>
      <span>{subject.join(' · ')}</span>
    </button>
  );
}
