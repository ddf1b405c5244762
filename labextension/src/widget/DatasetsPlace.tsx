/** The datasets' place: the list, the button that creates one, and the whole of it takes files that are dropped. */
import { useState, type DragEvent, type ReactNode } from 'react';

import type { Notice } from './Actions';
import { DatasetList } from './DatasetList';
import { trans } from './i18n';
import type { DatasetsTraits, Model } from './model';
import { useNavigation } from './route';
import type { Shell } from './shell';

interface DatasetsPlaceProps {
  readonly model: Model<DatasetsTraits>;
  readonly shell: Shell;
  readonly onNotice: (notice: Notice | null) => void;
}

/** The place. */
export function DatasetsPlace({ model, shell, onNotice }: DatasetsPlaceProps) {
  const navigation = useNavigation();
  const upload = async (files: readonly File[]) => {
    const refused = await shell.uploadDataset(files);
    onNotice(refused === null ? null : { text: refused });
  };
  return (
    <Dropzone onFiles={files => void upload(files)}>
      <div className="tunelab-side-actions">
        <button
          type="button"
          className="tunelab-primary"
          onClick={() => {
            onNotice(null);
            shell.createDataset();
          }}
        >
          {trans.__('Create dataset…')}
        </button>
        <span className="tunelab-subject">{trans.__('or drop a file here')}</span>
      </div>
      <DatasetList
        model={model}
        shell={shell}
        open={null}
        onOpen={dataset => {
          if (dataset !== null) {
            navigation?.go({ page: 'dataset', dataset });
          }
        }}
      />
    </Dropzone>
  );
}
/** Takes files of the user's computer that are dropped on it. */
function Dropzone({
  onFiles,
  children
}: {
  readonly onFiles: (files: readonly File[]) => void;
  readonly children: ReactNode;
}) {
  const [over, setOver] = useState(false);
  const hover = (event: DragEvent) => {
    if (event.dataTransfer.types.includes('Files')) {
      event.preventDefault();
      setOver(true);
    }
  };
  const leave = (event: DragEvent) => {
    // Going into a child is no leaving.
    if (!event.currentTarget.contains(event.relatedTarget as Node | null)) {
      setOver(false);
    }
  };
  const drop = (event: DragEvent) => {
    setOver(false);
    if (event.dataTransfer.files.length > 0) {
      event.preventDefault();
      onFiles([...event.dataTransfer.files]);
    }
  };
  return (
    <div
      className="tunelab-drop"
      data-over={over}
      onDragEnter={hover}
      onDragOver={hover}
      onDragLeave={leave}
      onDrop={drop}
    >
      {children}
    </div>
  );
}
