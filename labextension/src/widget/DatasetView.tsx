/** One version of a dataset: what it is, what the check found, its rows, and what a model will see of them. */
import { useEffect, useRef, useState } from 'react';

import { CopyButton, NoticeBlock, type Notice } from './Actions';
import { count, labelOf, techniqueName } from './datasets';
import { formatDate } from './dates';
import { plainText } from './format';
import { trans } from './i18n';
import { useTrait, type DatasetTraits, type Message, type Model } from './model';
import { LineageSection } from './LineageView';
import { byNumber, VersionChoice } from './ModelParts';
import { PreviewView } from './PreviewView';
import { ReportView } from './ReportView';
import { RowsTable } from './RowsTable';
import type { Shell } from './shell';

interface DatasetViewProps {
  readonly model: Model<DatasetTraits>;
  readonly shell: Shell | null;
  /** Whether the view may open itself in a tab: in the panel, not in a tab or a cell. */
  readonly canOpenTab?: boolean;
  /** Shows another version in this one's place; without, it opens in a tab. */
  readonly onVersion?: (dataset: string) => void;
  readonly onDeleted?: () => void;
}

/** The card of one version. */
export function DatasetView({ model, shell, canOpenTab = false, onVersion, onDeleted }: DatasetViewProps) {
  const dataset = useTrait(model, 'dataset');
  const report = useTrait(model, 'report');
  const busy = useTrait(model, 'busy');
  const [notice, setNotice] = useState<Notice | null>(null);
  const [isDeleted, setDeleted] = useState(false);
  const [target, setTarget] = useState<{ readonly row: number } | null>(null);
  // What is said stands where it was asked for.
  const [place, setPlace] = useState<'top' | 'preview'>('top');
  const answered = (answer: Notice | null) => {
    setNotice(answer);
    setPlace('top');
  };
  const table = useRef<HTMLElement>(null);
  // What the kernel could not do that this view asked for, and that the version is gone.
  useEffect(() => {
    const heard = (message: Message) => {
      if (message.type === 'notice') {
        setNotice({ text: plainText(message.text) });
      } else if (message.type === 'deleted') {
        setDeleted(true);
        onDeleted?.();
      }
    };
    model.on('msg:custom', heard);
    return () => {
      model.off('msg:custom', heard);
    };
  }, [model, onDeleted]);
  const label = plainText(labelOf(dataset));
  if (isDeleted) {
    return (
      <div className="tunelab">
        <p className="tunelab-empty" role="status">
          {trans.__('%1 was deleted.', label)}
        </p>
      </div>
    );
  }
  const showVersion =
    onVersion ??
    (shell
      ? (other: string) => {
          shell.openDatasetTab(other);
        }
      : null);
  const said = (
    <>
      <div role="status" className="tunelab-busy">
        {busy !== null && plainText(busy)}
      </div>
      {notice && (
        <NoticeBlock
          notice={notice}
          onClose={() => {
            setNotice(null);
          }}
        />
      )}
    </>
  );
  const subject = [techniqueName(dataset.technique), count(dataset.rows, 'row')];
  // Where rows were left out, the stored ones have other numbers than the report's.
  const isWhole = Object.entries(report.fixed).every(([fix, rows]) => fix === 'redact' || rows === 0);
  return (
    <div className="tunelab">
      <section className="tunelab-card tunelab-dataset-card" role="region" aria-label={trans.__('Dataset %1', label)}>
        <header className="tunelab-head">
          <div className="tunelab-title">
            <h3 className="tunelab-name">{label}</h3>
            <span className="tunelab-subject">{subject.join(' · ')}</span>
            {showVersion && (
              <VersionChoice
                versions={byNumber(dataset.versions)}
                value={String(dataset.version)}
                onValue={version => {
                  showVersion(labelOf({ name: dataset.name, version: Number(version) }));
                }}
              />
            )}
          </div>
          <DatasetActions
            {...{ model, shell, label }}
            canOpenTab={canOpenTab}
            isBusy={busy !== null}
            onNotice={answered}
          />
        </header>
        {place === 'top' && said}
        <DatasetFacts dataset={dataset} />
        <Section title={trans.__('Report')}>
          <ReportView
            report={report}
            onRow={
              isWhole
                ? row => {
                    setTarget({ row });
                    table.current?.scrollIntoView({ block: 'nearest' });
                  }
                : undefined
            }
          />
        </Section>
        <section ref={table} className="tunelab-section">
          <h4>{trans.__('Rows')}</h4>
          <RowsTable model={model} total={dataset.rows} form={dataset.form} target={target} />
        </section>
        <Section title={trans.__('What the model will see')}>
          <PreviewView
            model={model}
            said={place === 'preview' && said}
            onAsk={() => {
              setNotice(null);
              setPlace('preview');
            }}
          />
        </Section>
        {shell && <LineageSection of={`dataset:${label}`} />}
      </section>
    </div>
  );
}

function Section({ title, children }: { readonly title: string; readonly children: React.ReactNode }) {
  return (
    <section className="tunelab-section">
      <h4>{title}</h4>
      {children}
    </section>
  );
}

function DatasetFacts({ dataset }: { readonly dataset: DatasetTraits['dataset'] }) {
  const facts: readonly (readonly [name: string, value: string, title?: string])[] = [
    [trans.__('Source'), dataset.source],
    [trans.__('Created'), formatDate(dataset.created)],
    [trans.__('By'), dataset.creator],
    [trans.__('Digest'), dataset.digest.slice(0, 12), dataset.digest],
    [trans.__('Used by'), dataset.uses.join(', ') || trans.__('nothing yet')]
  ];
  return (
    <dl className="tunelab-facts">
      {facts.map(([name, value, title]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd title={title}>{plainText(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

interface ActionsProps {
  readonly model: Model<DatasetTraits>;
  readonly shell: Shell | null;
  readonly label: string;
  readonly canOpenTab: boolean;
  readonly isBusy: boolean;
  readonly onNotice: (notice: Notice | null) => void;
}

function DatasetActions({ model, shell, label, canOpenTab, isBusy, onNotice }: ActionsProps) {
  const cell = useTrait(model, 'cell');
  const [isAsking, setAsking] = useState(false);
  const [wasAsking, setWasAsking] = useState(false);
  const openCell = async (host: Shell, text: string) => {
    onNotice(null);
    const refused = await host.openCell(text);
    if (refused !== null) {
      onNotice({ text: refused });
    }
  };
  const answer = () => {
    setAsking(false);
    setWasAsking(true);
  };
  if (isAsking) {
    return (
      <div key="asking" className="tunelab-actions" role="group" aria-label={trans.__('Delete %1?', label)}>
        <span>{trans.__('Delete %1 for good?', label)}</span>
        <button type="button" autoFocus onClick={answer}>
          {trans.__('Keep')}
        </button>
        <button
          type="button"
          className="tunelab-danger"
          onClick={() => {
            answer();
            onNotice(null);
            model.send({ type: 'delete' });
          }}
        >
          {trans.__('Delete')}
        </button>
      </div>
    );
  }
  return (
    <div key="actions" className="tunelab-actions">
      {cell !== null && <CopyButton text={cell} label={trans.__('Copy as cell')} />}
      {canOpenTab && shell && (
        <button
          type="button"
          onClick={() => {
            shell.openDatasetTab(label);
          }}
        >
          {trans.__('Open as tab')}
        </button>
      )}
      <button
        type="button"
        disabled={isBusy}
        // The focus is back where it was.
        autoFocus={wasAsking}
        onClick={() => {
          setAsking(true);
        }}
      >
        {trans.__('Delete')}
      </button>
      {cell !== null && shell && (
        <button type="button" className="tunelab-primary" onClick={() => void openCell(shell, cell)}>
          {trans.__('Customize…')}
        </button>
      )}
    </div>
  );
}
