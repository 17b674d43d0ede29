# The smallest guest that tells whether an accelerator can run one.
#
# A machine monitor can accept /dev/kvm, start a guest and still fail at the first interrupt, so the payload walks the
# stations every kernel passes and says a letter on the debug console (port 0xe9) at each:
#
#   r real mode          l long mode with paging     i software interrupt and return
#   p page remapped (invlpg seen)                    u ring 3          s system call back to ring 0
#
# It ends by writing 0x2a to isa-debug-exit (port 0xf4): QEMU exits with (0x2a << 1) | 1 = 85. A fault writes 0x0f
# instead: exit code 31. It is used as firmware: the code lies at the start of a 64 KiB image whose reset vector jumps to
# F000:0000, and the chipset shadows the image at 0xF0000. Build and compare:
#
#   as --64 -o probe.o accel_probe.S && ld --oformat binary -Ttext 0 -o probe.bin probe.o

.set BASE, 0xf0000              # where the chipset shadows the firmware
.set PML4, 0x10000              # everything below lies in the lowest MiB of RAM
.set PDPT, 0x11000
.set PDIR, 0x12000
.set IDT, 0x13000
.set GDT, 0x14000               # copied to RAM, because `ltr` writes its busy bit
.set TSS, 0x15000
.set STACK0, 0x18000
.set STACK3, 0x1a000

.macro say letter
    mov $\letter, %al
    outb %al, $0xe9
.endm

.text
.globl _start
.code16
_start:
    cli
    cld
    say 'r'
    mov $PML4 >> 4, %ax         # clear the tables: 24 KiB from 0x10000
    mov %ax, %es
    xor %di, %di
    xor %eax, %eax
    mov $0x6000 / 4, %cx
    rep stosl
    mov %cs, %ax
    mov %ax, %ds
    movl $PDPT + 7, %es:0       # present, writable, open to ring 3
    movl $PDIR + 7, %es:PDPT - PML4
    mov $PDIR - PML4, %di
    mov $0x87, %eax             # the lowest GiB one to one, in pages of 2 MiB
    mov $512, %cx
page:
    mov %eax, %es:(%di)
    add $0x200000, %eax
    add $8, %di
    loop page
    lgdtl gdt_rom
    mov %cr4, %eax
    or $0x20, %eax              # PAE
    mov %eax, %cr4
    mov $PML4, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx       # EFER: long mode and system calls
    rdmsr
    or $0x101, %eax
    wrmsr
    mov %cr0, %eax
    or $0x80000001, %eax        # paging and protection at once
    mov %eax, %cr0
    ljmpl $0x08, $BASE + long_mode

.code64
long_mode:
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $STACK0, %esp
    say 'l'

    mov $BASE + on_break, %eax
    mov $3, %ecx
    call set_gate
    mov $BASE + on_fault, %eax
    mov $6, %ecx                # invalid opcode, double fault, protection, page fault
    call set_gate
    mov $8, %ecx
    call set_gate
    mov $13, %ecx
    call set_gate
    mov $14, %ecx
    call set_gate
    lidt idt_register(%rip)
    int3                        # says 'i' and comes back

    movl $0x5ca1ab1e, 0x400000  # map 8 MiB onto the page at 4 MiB: read through the old, then the new translation
    mov 0x800000, %eax
    movl $0x400087, PDIR + 4 * 8
    invlpg 0x800000
    cmpl $0x5ca1ab1e, 0x800000
    jne on_fault
    say 'p'

    lea gdt(%rip), %rsi
    mov $GDT, %edi
    mov $(gdt_end - gdt) / 8, %ecx
    rep movsq
    lgdt gdt_ram(%rip)
    movl $STACK0, TSS + 4       # rsp0
    mov $0x28, %eax
    ltr %ax
    mov $0xc0000081, %ecx       # STAR: code segments of both rings
    xor %eax, %eax
    mov $0x00180008, %edx
    wrmsr
    mov $0xc0000082, %ecx       # LSTAR: where `syscall` goes
    mov $BASE + on_syscall, %eax
    xor %edx, %edx
    wrmsr
    pushq $0x1b                 # ss, rsp, flags with IOPL 3 (so that ring 3 may speak), cs, rip
    pushq $STACK3
    pushq $0x3002
    pushq $0x23
    pushq $BASE + ring3
    iretq

ring3:
    say 'u'
    syscall
    jmp on_fault

on_syscall:
    say 's'
    mov $0x2a, %al
    outb %al, $0xf4
    jmp stop

on_break:
    say 'i'
    iretq

on_fault:
    say 'F'
    mov $0x0f, %al
    outb %al, $0xf4
stop:
    hlt
    jmp stop

set_gate:                       # eax: handler, ecx: vector
    mov %ecx, %edi
    shl $4, %edi
    movw %ax, IDT(%rdi)
    movw $0x08, IDT + 2(%rdi)
    movw $0x8e00, IDT + 4(%rdi)
    mov %eax, %edx
    shr $16, %edx
    movw %dx, IDT + 6(%rdi)
    ret

.balign 8
gdt:                            # every descriptor is marked accessed, since this copy cannot be written
    .quad 0
    .quad 0x00af9b000000ffff    # 08 ring 0 code, 64 bit
    .quad 0x00cf93000000ffff    # 10 ring 0 data
    .quad 0x00cff3000000ffff    # 18 ring 3 data
    .quad 0x00affb000000ffff    # 20 ring 3 code, 64 bit
    .quad 0x0000890000000067 + (TSS & 0xffff) * 0x10000 + (TSS >> 16) * 0x100000000    # 28 task state, 16 bytes
    .quad 0
gdt_end:
gdt_rom:
    .word gdt_end - gdt - 1
    .long BASE + gdt
gdt_ram:
    .word gdt_end - gdt - 1
    .quad GDT
idt_register:
    .word 16 * 16 - 1
    .quad IDT
